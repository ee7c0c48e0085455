/** A sink that pushes rows to an array of the caller: for tests, examples and first steps. */
import { markedRow } from '../batch/changes.ts'
import type { Sink } from '../connector.ts'

/**
 * Pushes every row to `rows`; one that is taken back as a copy with `$weight: -1`. At-least-once: a run that crashes and starts again in the same process pushes the rows
 * after its last commit a second time. The array lives in this thread, so a flow that runs in worker threads cannot
 * reach it: run such a flow inline.
 * @example arraySink([]).guarantee // => 'at-least-once'
 */
export function arraySink<T>(rows: T[]): Sink<T> {
  return {
    kind: 'array',
    guarantee: 'at-least-once',
    takesChanges: true,
    describe: () => ({}),
    open: () => ({
      write(batch) {
        for (let i = 0; i < batch.length; i++) rows.push(markedRow(batch, i, batch.keep(i)))
      },
      close() {},
    }),
  }
}
