/**
 * Prints each action as `<time> <action>` on the standard output, and on the standard error, through the log of the
 * flow, what decides, a line a second, and a summary. Latency is from the moment the frame was meant to be exposed to
 * the call of this sink with its action.
 *
 * At-least-once, as the standard output cannot take a line back.
 */
import { stdout } from '@millrace/connectors/stdout'
import type { FramePool } from '@millrace/connectors/video'
import type { Sink } from 'millrace'
import { nowMs } from './clock.ts'
import { Latencies } from './latencies.ts'
import type { Action } from './records.ts'
import { tally } from './tally.ts'

const STATUS_EVERY_MS = 1000

export interface ActionSinkOptions {
  /** Where the frames come from and who decides: the first line. */
  readonly about: string
  readonly pool: FramePool | undefined
}

export function actionSink({ about, pool }: ActionSinkOptions): Sink<Action> {
  const lines = stdout<Action>({ format: lineOf })
  return {
    kind: 'vla.actions',
    guarantee: 'at-least-once',
    describe: () => ({}),
    async open(ctx) {
      const writer = await lines.open(ctx)
      const latencies = new Latencies()
      const startedMs = nowMs()
      let statusMs = startedMs
      let acted = 0
      const status = (now: number): string => {
        const { frames, readings, words } = tally()
        const rate = (frames + readings + words) / ((now - startedMs) / 1000)
        const dropped = pool?.stats().dropped ?? 0
        const [p50, p99] = [0.5, 0.99].map((share) => latencies.quantileMs(share).toFixed(1))
        return `${frames} frames in, ${dropped} dropped, ${latencies.count} answered, ${acted} actions; frame to action p50 ${p50} ms, p99 ${p99} ms, max ${latencies.maxMs.toFixed(1)} ms; ${Math.round(rate)} points/s`
      }
      ctx.log('info', about)
      return {
        write(batch) {
          const now = nowMs()
          for (let i = 0; i < batch.length; i++) {
            const { at, by } = batch.row(i)
            acted++
            if (by !== 'watchdog') latencies.record(now - at)
          }
          if (now - statusMs >= STATUS_EVERY_MS) {
            statusMs = now
            ctx.log('info', status(now))
          }
          return writer.write(batch)
        },
        flush: () => writer.flush?.(),
        async close() {
          ctx.log('info', `in all ${status(nowMs())}`)
          await writer.close()
        },
      }
    },
  }
}

/** @example lineOf({ robot: 'a', at: 0.25, action: 'hold', by: 'rules' }) // => '1970-01-01T00:00:00.000Z hold' */
export function lineOf({ at, action }: Action): string {
  return `${new Date(at).toISOString()} ${action}`
}
