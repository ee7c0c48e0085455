/** Sinks of which there can be only one. */
import { expect, test } from 'vitest'
import type { Sink } from '../../src/connector.ts'
import { type DeadLetter, dataflow, dlq } from '../../src/index.ts'
import { arraySource } from '../../src/testing/array-source.ts'
import { type Row, Virtual } from './kit.ts'

function onlyOne<T>(opened: number[], out: T[]): Sink<T> {
  return {
    kind: 'one',
    guarantee: 'at-least-once',
    isSingle: true,
    describe: () => ({}),
    open: (ctx) => {
      opened.push(ctx.instance.index)
      return {
        write(batch) {
          for (let i = 0; i < batch.length; i++) out.push(batch.keep(i))
        },
        close() {},
      }
    },
  }
}

test.each([1, 2, 3])(
  'a single sink is opened once and gets every row, dead letters too (%d workers)',
  async (workers) => {
    const opened: number[] = []
    const out: Row[] = []
    const dead: DeadLetter[] = []
    const rows = Array.from({ length: 900 }, (_, n): Row => ({ key: `k${n % 7}`, at: n, n }))
    const flow = dataflow('single')
    flow
      .source('rows', arraySource(rows, { partitions: 3 }), { time: (r) => r.at, disorder: '1s' })
      .map(
        (r) => {
          if (r.n % 100 === 0) throw new Error('bad')
          return r
        },
        { onError: dlq(onlyOne(opened, dead)) },
      )
      .sink('out', onlyOne(opened, out))
    await new Virtual(undefined, 1_000).start(flow, { workers }).end()
    expect(opened).toEqual([0, 0])
    expect(out.map((r) => r.n).sort((a, b) => a - b)).toEqual(rows.map((r) => r.n).filter((n) => n % 100 !== 0))
    expect(dead).toHaveLength(9)
  },
)
