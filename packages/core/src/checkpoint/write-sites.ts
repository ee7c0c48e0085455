/**
 * Names of every place that changes what a restart finds. The simulator is told each one before it happens, crashes
 * there, and counts.
 */
export const WRITE_SITES = [
  'epoch-log.create',
  'epoch-log.append',
  'epoch-log.sync',
  'epoch-log.sync-folder',
  'epoch-log.remove',
  'manifest.write',
  'manifest.sync',
  'manifest.rename',
  'manifest.sync-folder',
  'savepoint.write',
  'savepoint.sync',
  'savepoint.rename',
  'savepoint.sync-folder',
  'savepoint.remove',
  'base.create',
  'base.write',
  'base.sync',
  'base.sync-folder',
  'lock.create',
  'lock.write',
  'lock.release',
  'collect.remove',
  'sink.publish',
] as const

export type WriteSite = (typeof WRITE_SITES)[number]

/** Called before the operation; throwing stands for a crash. */
export type OnWrite = (site: WriteSite) => void | Promise<void>
