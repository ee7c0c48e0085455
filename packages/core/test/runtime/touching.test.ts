/** A row exactly at the end of a session, after a watermark exactly there: touching sessions are one. */
import { describe, expect, test } from 'vitest'
import { dataflow } from '../../src/dataflow.ts'
import { arraySink, arraySource, testFlow } from '../../src/testing/index.ts'
import { count } from '../../src/window/aggregates.ts'
import { session } from '../../src/window/windows.ts'

interface Row {
  readonly key: string
  readonly at: number
}
const window = session('10ms', { merge: 'touching' })
const options = { time: (row: Row) => row.at, disorder: '0ms' } as const

describe('touching sessions', () => {
  test('a join waits for rows exactly at the end of a session', async () => {
    const flow = dataflow('touching-join')
    const left = flow.source('left', arraySource<Row>([]), options).keyBy((row) => row.key)
    const right = flow.source('right', arraySource<Row>([]), options).keyBy((row) => row.key)
    left.join('pairs', right, { window }).sink('out', arraySink<unknown>([]))
    const running = testFlow(flow)
    await running.send('right', [{ key: 'a', at: 100 }])
    await running.send('left', [{ key: 'b', at: 110 }])
    await running.send('right', [{ key: 'b', at: 110 }])
    await running.send('left', [{ key: 'a', at: 110 }])
    await running.end()
    expect((running.output('out') as { key: string }[]).map((pair) => pair.key).sort()).toEqual(['a', 'b'])
  })

  test('a window waits for rows exactly at the end of a session', async () => {
    const flow = dataflow('touching-window')
    const rows = flow.source('in', arraySource<Row>([]), options).keyBy((row) => row.key)
    rows.window(window).aggregate('visit', { n: count() }).sink('out', arraySink<unknown>([]))
    const running = testFlow(flow)
    await running.send('in', [{ key: 'a', at: 100 }])
    await running.send('in', [{ key: 'b', at: 110 }])
    await running.send('in', [{ key: 'a', at: 110 }])
    await running.end()
    const visits = running.output('out') as { key: string; n: number }[]
    expect(visits.map((visit) => [visit.key, visit.n]).sort()).toEqual([
      ['a', 2],
      ['b', 1],
    ])
  })
})
