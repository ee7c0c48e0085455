/** Opening a state folder for a run: the lock, then the store. */
import { nodeProcesses } from '../runtime/node-processes.ts'
import type { Clock, Disk, Processes, Scheduler } from '../runtime/ports.ts'
import { CheckpointStore } from './checkpoint-store.ts'
import { lockFlow } from './lock.ts'
import type { OnWrite } from './write-sites.ts'

export interface OpenOptions {
  readonly disk: Disk
  readonly clock: Clock
  readonly scheduler: Scheduler
  readonly folder: string
  readonly flow: string
  readonly processes?: Processes
  readonly onWrite?: OnWrite
}

export interface Checkpoints {
  readonly store: CheckpointStore
  /** Fails when another process has taken over. @throws OperationalError `FLOW_FENCED` */
  check(): Promise<void>
  /** Gives the folder back; a process that dies is noticed without it. */
  release(): Promise<void>
}

/**
 * Takes a state folder for this process; `store.openLatest()` comes next.
 * @throws UsageError `FLOW_RUNNING` when another process, or this one, has it
 */
export async function openCheckpoints(options: OpenOptions): Promise<Checkpoints> {
  const { disk, folder, clock, scheduler } = options
  const lock = await lockFlow({
    disk,
    folder,
    processes: options.processes ?? nodeProcesses,
    nowMs: clock.now(),
    pause: () => new Promise((resolve) => void scheduler.after(25, resolve)),
    ...(options.onWrite === undefined ? {} : { onWrite: options.onWrite }),
  })
  return { store: new CheckpointStore(options), check: () => lock.check(), release: () => lock.release() }
}
