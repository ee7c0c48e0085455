import { expect, test } from 'vitest'
import { dataflow } from '../dataflow.ts'
import { arraySink } from './array-sink.ts'
import { arraySource } from './array-source.ts'
import { testFlow } from './test-flow.ts'

interface Click {
  readonly user: string
  readonly at: number
}

/** Clicks per user, a second of event time after each; and a reminder after ten seconds of silence on the clock. */
function flow() {
  const made = dataflow('clicks')
  made
    .source('clicks', arraySource<Click>([]), { time: (c) => c.at, disorder: '0ms' })
    .keyBy((c) => c.user)
    .process<string>(
      'count',
      ({ value }) => {
        const count = value<number>('count', { default: 0 })
        return {
          onRecord(row, ctx) {
            count.set(count.get() + 1)
            ctx.timers.event(row.at + 1_000)
            ctx.timers.processing(ctx.now() + 10_000)
          },
          onTimer: (timer, ctx) => ctx.emit(`${timer.kind} ${String(ctx.key)} ${count.get()}`),
        }
      },
      { timed: true },
    )
    .sink('out', arraySink<string>([]))
  return made
}

test('a flow is driven by rows and by the clock', async () => {
  const t = testFlow(flow())
  await t.send('clicks', [{ user: 'a', at: 1_000 }])
  expect(t.output('out')).toEqual([])
  await t.send('clicks', [{ user: 'b', at: 2_000 }])
  expect(t.output('out')).toEqual(['event a 1'])
  const start = t.now
  await t.advance('9999ms')
  expect(t.output('out')).toHaveLength(1)
  await t.advance('1ms')
  expect(t.now - start).toBe(10_000)
  expect(t.output('out').slice(1)).toEqual(['processing a 1', 'processing b 1'])
  const report = await t.end()
  expect(report.outcome).toBe('finished')
  expect(t.output('out').slice(3)).toEqual(['event b 1'])
})

test('a snapshot continues in a fresh run, with state, timers and positions', async () => {
  const t = testFlow(flow())
  await t.send('clicks', [{ user: 'a', at: 1_000 }])
  await t.advance('4s')
  const snapshot = await t.snapshot()
  await expect(t.send('clicks', [])).rejects.toMatchObject({ code: 'TEST_OVER' })
  for (const workers of [1, 2]) {
    const again = t.restore(snapshot, { workers })
    await again.send('clicks', [{ user: 'a', at: 1_500 }])
    await again.advance('6s')
    expect(again.output('out')).toEqual(['processing a 2'])
    await again.end()
    expect(again.output('out').slice(1)).toEqual(['event a 2', 'event a 2'])
  }
})

test('a source or sink the flow does not have is named, and a failing step fails the test', async () => {
  const t = testFlow(flow())
  await expect(t.send('klicks', [])).rejects.toThrow('flow "clicks" has no source "klicks"; it has "clicks".')
  expect(() => t.output('in')).toThrow('has no sink "in"')
  await expect(t.send('clicks', [{ user: 'a', at: Number.NaN }])).rejects.toMatchObject({ step: 'clicks' })
  t.close()
})
