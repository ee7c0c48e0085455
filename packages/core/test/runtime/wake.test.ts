import { expect, test } from 'vitest'
import { dataflow } from '../../src/dataflow.ts'
import { arraySink, arraySource, testFlow } from '../../src/testing/index.ts'

test('two steps that wait for different moments are each woken at their own', async () => {
  const flow = dataflow('two-waits')
  const rows = flow.source('in', arraySource<string>([]), { time: 'processing' }).keyBy((row) => row)
  for (const waitMs of [10, 20, 35]) {
    rows
      .process<number>(
        `after ${waitMs}`,
        () => {
          let setAt = 0
          return {
            onRecord(_, ctx) {
              setAt = ctx.now()
              ctx.timers.processing(setAt + waitMs)
            },
            onTimer: (_, ctx) => ctx.emit(ctx.now() - setAt),
          }
        },
        { timed: true },
      )
      .sink(`out ${waitMs}`, arraySink<number>([]))
  }
  const running = testFlow(flow)
  await running.send('in', ['a'])
  await running.advance('1s')
  const waited = [10, 20, 35].map((waitMs) => (running.output(`out ${waitMs}`) as number[])[0] - waitMs)
  await running.end()
  for (const late of waited) {
    expect(late).toBeGreaterThanOrEqual(0)
    expect(late).toBeLessThanOrEqual(2)
  }
})
