/** What the exit code of every command means; docs/guide/cli.md shows this table. */
export const EXIT = {
  /** Finished, or stopped as asked with everything committed. `status`: everything is well. */
  ok: 0,
  /** The run failed; its last commit stands. `status`: a flow needs attention. */
  failed: 1,
  /** The command line or the flow is wrong; nothing ran. */
  usage: 2,
  /** No such flow is running. */
  notRunning: 3,
  /** Ctrl-C: drained and committed; at once on the second one. */
  interrupted: 130,
  /** SIGTERM: drained and committed. */
  terminated: 143,
} as const
