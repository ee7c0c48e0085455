/** A step of one's own: state per key, event-time timers that count what is not younger than they are. */
import { byKey, eventsOf } from '../data.ts'
import { flowOf, type Shape } from './shape.ts'

const delayMs = 700

export const timers: Shape = {
  name: 'timers',
  sources: ['a'],
  order: 'per key',
  build: (_, settings) =>
    flowOf(['a'], settings, (a) =>
      a
        .keyBy((e) => e.key)
        .process<{ key: string; at: number; sum: number; n: number }>('sums', ({ map }) => {
          const values = map<number, number>('values')
          return {
            onRecord(row, ctx) {
              values.set(row.at, row.n)
              ctx.timers.event(row.at + delayMs)
            },
            onTimer(timer, ctx) {
              const seen = values.entries().filter(([at]) => at + delayMs <= timer.time)
              const sum = seen.reduce((total, [, n]) => total + n, 0)
              ctx.emit({ key: String(ctx.key), at: timer.time, sum, n: seen.length })
            },
          }
        }),
    ),
  expected: (input) =>
    [...byKey(eventsOf(input, 'a'))].flatMap(([key, events]) =>
      events.map((event, i) => ({
        key,
        at: event.at + delayMs,
        sum: events.slice(0, i + 1).reduce((total, e) => total + e.n, 0),
        n: i + 1,
      })),
    ),
}

/** A second step on the first one's output: the watermark reaches it only when the first has emitted. */
export const twoTimers: Shape = {
  name: 'two timers',
  sources: ['a'],
  order: 'per key',
  build: (_, settings) =>
    flowOf(['a'], settings, (a) =>
      a
        .keyBy((e) => e.key)
        .process<{ key: string; at: number; n: number }>('echo', ({ map }) => {
          const values = map<number, number>('values')
          return {
            onRecord(row, ctx) {
              values.set(row.at, row.n)
              ctx.timers.event(row.at + delayMs)
            },
            onTimer(timer, ctx) {
              const at = timer.time - delayMs
              ctx.emit({ key: String(ctx.key), at, n: values.get(at) as number }, timer.time)
              values.delete(at)
            },
          }
        })
        .keyBy((e) => e.key.slice(0, 1))
        .process<{ key: string; second: number; n: number }>('per second', ({ map }) => {
          const sums = map<number, number>('sums')
          return {
            onRecord(row, ctx) {
              const second = Math.floor(ctx.time / 1_000) + 1
              sums.set(second, (sums.get(second) ?? 0) + row.n)
              ctx.timers.event(second * 1_000)
            },
            onTimer(timer, ctx) {
              const second = timer.time / 1_000
              ctx.emit({ key: String(ctx.key), second, n: sums.get(second) as number })
              sums.delete(second)
            },
          }
        }),
    ),
  expected: (input) => {
    const sums = new Map<string, { key: string; second: number; n: number }>()
    for (const event of eventsOf(input, 'a')) {
      const key = event.key.slice(0, 1)
      const second = Math.floor((event.at + delayMs) / 1_000) + 1
      const id = `${key} ${second}`
      sums.set(id, { key, second, n: (sums.get(id)?.n ?? 0) + event.n })
    }
    return [...sums.values()].sort((a, b) => a.second - b.second)
  },
}
