import { describe, expect, test } from 'vitest'
import { edge, Graph, type GraphNode } from '../graph/node.ts'
import { StateStore } from '../state/store.ts'
import { openOperator } from '../testing/operator-host.ts'
import { at, end, input, watermark } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import { type AsOfInput, type AsOfOptions, asOf } from './as-of.ts'
import { AsOfJournal } from './as-of-journal.ts'

type Sides = Readonly<Record<string, Omit<AsOfInput, 'edge'>>>

function fuse(sides: Sides, options: Partial<AsOfOptions> = {}): GraphNode {
  const graph = new Graph('test')
  const from = (name: string) => edge(graph.add({ kind: 'union', name, inputs: [], spec: { type: 'union' } }), 'key')
  const inputs = Object.entries(sides).map(([name, side]) => [name, { ...side, edge: from(`in ${name}`) }] as const)
  return asOf(graph, { name: 'fuse', left: from('the left'), sides: Object.fromEntries(inputs), ...options })
}
const gps = input(1)
const lidar = input(2)
const rows = (emitted: readonly { readonly row: unknown }[]): unknown[] => emitted.map((e) => e.row)

describe('asOf, decided by watermark', () => {
  test('a left row meets the latest row of each side at or before its time, within its tolerance', async () => {
    // gps     900  1000        1100
    // lidar   700 (200 ms: too old)
    // left         1000
    await verifyOperator(fuse({ gps: { within: '500ms' }, lidar: { within: '200ms' } }), { late: 'dropped' })
      .given(
        gps.at(900, 'g900', 'k'),
        gps.at(1_100, 'g1100', 'k'),
        gps.at(1_000, 'g1000', 'k'),
        gps.at(990, 'other key', 'x'),
        lidar.at(700, 'l700', 'k'),
        at(1_000, 'frame', 'k'),
        watermark(2_000),
        end(),
      )
      .expect([[1_000, { key: 'k', left: 'frame', gps: 'g1000', lidar: undefined }, 'k']])
  })

  test('a left row that misses a required side is counted and goes to the output unmatched', async () => {
    await verifyOperator(fuse({ gps: { within: '500ms', required: true } }))
      .given(gps.at(1_000, 'g', 'k'), at(1_500, 'hit', 'k'), at(1_501, 'miss', 'k'), watermark(3_000), end())
      .expect(
        { out: [[1_500, { key: 'k', left: 'hit', gps: 'g' }, 'k']], unmatched: [[1_501, 'miss', 'k']] },
        { metrics: { dropped: 1 } },
      )
  })

  test('it is decided as soon as the sides have passed it, without waiting for the next left row', () => {
    const host = openOperator(fuse({ gps: { within: '500ms' } }))
    host.send([[1_000, 'frame', 'k']])
    host.watermark(1_000, 0)
    host.send([[1_000, 'g', 'k']], 1)
    host.watermark(1_000, 1)
    expect(host.take()).toEqual([])
    host.watermark(1_000.5, 1)
    expect(rows(host.take())).toEqual([{ key: 'k', left: 'frame', gps: 'g' }])
  })

  test('rows of a key come by left time, whatever their arrival', () => {
    const host = openOperator(fuse({ gps: { within: '500ms' } }))
    host.watermark(5_000, 1)
    host.send([
      [2_000, 'second', 'k'],
      [1_000, 'first', 'k'],
    ])
    expect(host.take()).toEqual([])
    host.watermark(2_000, 0)
    expect(host.take().map((e) => e.time)).toEqual([1_000, 2_000])
  })

  test("fill 'last' takes the last row however old, { default } a value, and both satisfy the side", async () => {
    const sides: Sides = {
      a: { within: '1ms', fill: 'last' },
      b: { within: '1ms', fill: { default: 'none' }, required: true },
    }
    await verifyOperator(fuse(sides))
      .given(gps.at(0, 'old', 'k'), lidar.at(0, 'too old', 'k'), at(90_000, 'l', 'k'), watermark(100_000), end())
      .expect([[90_000, { key: 'k', left: 'l', a: 'old', b: 'none' }, 'k']])
  })

  test("fill 'interpolate' is linear in numeric fields between the neighbours", async () => {
    await verifyOperator(fuse({ gps: { within: '1s', fill: 'interpolate' } }), { late: 'dropped' })
      .given(
        gps.at(1_000, { lat: 10, fix: 'a' }, 'k'),
        at(1_250, 'l', 'k'),
        gps.at(2_000, { lat: 20, fix: 'b' }, 'k'),
        watermark(1_500),
        watermark(2_500),
        end(),
      )
      .expect([[1_250, { key: 'k', left: 'l', gps: { lat: 12.5, fix: 'a' } }, 'k']])
  })

  test('interpolation waits until no other row with the time of the next one can come', () => {
    const host = openOperator(fuse({ gps: { within: '1s', fill: 'interpolate' } }))
    host.send([[1_000, { lat: 0 }, 'k']], 1)
    host.send([[1_500, 'l', 'k']])
    host.send([[2_000, { lat: 10 }, 'k']], 1)
    host.watermark(2_000)
    host.send([[2_000, { lat: 20 }, 'k']], 1)
    host.watermark(2_001)
    expect(rows(host.take())).toEqual([{ key: 'k', left: 'l', gps: { lat: 10 } }])
  })

  test('interpolation does not wait where a row has exactly the time, or where there is none before', () => {
    const host = openOperator(fuse({ gps: { within: '1s', fill: 'interpolate' } }))
    host.send([[1_000, { lat: 10 }, 'k']], 1)
    host.send([
      [1_000, 'exact', 'k'],
      [1_000, 'none', 'x'],
    ])
    host.watermark(1_001)
    expect(host.take()).toHaveLength(2)
  })

  test('interpolation waits for the next row no longer than its tolerance, and holds the watermark meanwhile', () => {
    const host = openOperator(fuse({ gps: { within: '1s', fill: 'interpolate' } }))
    host.send([[1_000, { lat: 10 }, 'k']], 1)
    host.send([[1_250, 'l', 'k']])
    host.watermark(2_250)
    expect(host.take()).toEqual([])
    expect(host.watermarkOut).toBe(1_250)
    host.watermark(2_251)
    expect(rows(host.take())).toEqual([{ key: 'k', left: 'l', gps: { lat: 10 } }])
    expect(host.emittedLate).toBe(0)
    expect(host.watermarkOut).toBe(2_251)
  })

  test('large fields pass by reference', () => {
    const pixels = new Uint8Array(8)
    const host = openOperator(fuse({ gps: { within: '1s' } }), { views: false })
    host.send([[1, { pixels }, 'k']], 1)
    host.send([[1, { pixels }, 'k']])
    host.end()
    const row = host.take<{ left: { pixels: unknown }; gps: { pixels: unknown } }>()[0].row
    expect(row.left.pixels).toBe(pixels)
    expect(row.gps.pixels).toBe(pixels)
  })

  test('a side keeps one row per key behind the left rows', () => {
    const host = openOperator(fuse({ gps: { within: '1h' } }))
    for (let t = 0; t < 1_000; t++) {
      host.send([[t, `g${t}`, 'k']], 1)
      host.watermark(t)
    }
    expect(host.held).toBeLessThan(40)
  })

  test('a side that runs ahead keeps maxPerKey rows per key and counts those it gave up', () => {
    const host = openOperator(fuse({ gps: { within: '1h' } }, { maxPerKey: 10 }))
    for (let t = 0; t < 25; t++) host.send([[t, `g${t}`, 'k']], 1)
    expect(host.held).toBe(10)
    expect(host.metrics.droppedBy).toEqual({ expired: 15 })
  })

  test('keys that nothing can match any more are forgotten', () => {
    const host = openOperator(fuse({ gps: { within: '10ms' } }))
    for (let t = 0; t < 5_000; t++) {
      host.send([[t, 'g', `key ${t}`]], 1)
      host.watermark(t)
    }
    expect(host.held).toBeLessThan(1_200)
  })

  test('late rows of every input are counted and given to the output late', async () => {
    await verifyOperator(fuse({ gps: { within: '1s' } }))
      .given(watermark(1_000), at(999, 'left', 'k'), gps.at(999, 'right', 'k'), end())
      .expect(
        {
          out: [],
          late: [
            [999, 'left'],
            [999, 'right'],
          ],
        },
        { metrics: { late: 2 } },
      )
  })
})

describe('asOf with a bounded wait', () => {
  const sides: Sides = { gps: { within: '500ms' } }

  test('a left row is decided at the latest when its wait is over, from what has arrived', () => {
    const host = openOperator(fuse(sides, { wait: '10ms' }))
    host.send([[900, 'g900', 'k']], 1)
    host.send([[1_000, 'frame', 'k']])
    host.advance(9)
    expect(host.take()).toEqual([])
    host.advance(1)
    expect(rows(host.take())).toEqual([{ key: 'k', left: 'frame', gps: 'g900' }])
    expect(host.held).toBe(1)
  })

  test('it is decided earlier when the watermarks allow', () => {
    const host = openOperator(fuse(sides, { wait: '10ms' }))
    host.send([[1_000, 'frame', 'k']])
    host.watermark(1_001)
    expect(host.take()).toHaveLength(1)
    host.advance(10)
    expect(host.take()).toEqual([])
  })

  test('older rows of the key come out before the one whose wait is over', () => {
    const host = openOperator(fuse(sides, { wait: '10ms' }))
    host.send([[1_000, 'newer', 'k']])
    host.advance(5)
    host.send([
      [900, 'older', 'k'],
      [900, 'other', 'x'],
    ])
    host.advance(5)
    expect(host.take().map((e) => [e.time, e.key])).toEqual([
      [900, 'k'],
      [1_000, 'k'],
    ])
    host.advance(5)
    expect(host.take().map((e) => [e.time, e.key])).toEqual([[900, 'x']])
  })

  test('a wait survives a restart', () => {
    const host = openOperator(fuse(sides, { wait: '10ms' }))
    host.send([[1_000, 'frame', 'k']])
    host.advance(4)
    const again = host.restore(host.snapshot())
    again.advance(5)
    expect(again.take()).toEqual([])
    again.advance(1)
    expect(again.take()).toHaveLength(1)
  })

  test('record gives a left row that is delivered again the decision it got before, after a restart too', () => {
    const decide = (record: boolean): unknown[] => {
      const host = openOperator(fuse(sides, { wait: '10ms', record }))
      host.send([[1_000, 'frame', 'k']])
      host.advance(10)
      expect(rows(host.take())).toEqual([{ key: 'k', left: 'frame', gps: undefined }])
      const again = host.restore(host.snapshot())
      again.send([[990, 'g990', 'k']], 1)
      again.send([[1_000, 'frame', 'k']])
      again.advance(10)
      return rows(again.take())
    }
    expect(decide(true)).toEqual([{ key: 'k', left: 'frame', gps: undefined }])
    expect(decide(false)).toEqual([{ key: 'k', left: 'frame', gps: 'g990' }])
  })

  test('recorded decisions are forgotten behind the watermark', () => {
    const state = new StateStore().forStep('fuse')
    const journal = new AsOfJournal(state)
    for (let t = 0; t < 100_000; t += 1_000) {
      journal.write('k', t, [])
      journal.forgetBefore(t)
    }
    expect(state.table('decisions', { major: 'sub' }).size).toBe(1)
    expect(journal.find('k', 99_000)).toEqual([])
    expect(journal.find('k', 98_000)).toBeUndefined()
  })

  test('the node is timed, and deterministic without a bounded wait', () => {
    expect(fuse(sides, { wait: '10ms' }).determinism).toBe('timed')
    expect(fuse(sides).determinism).toBe('deterministic')
  })
})

test('wrong options are refused while the flow is built', () => {
  expect(() => fuse({})).toThrow(/has no sides/)
  expect(() => fuse({ left: { within: '1s' } })).toThrow(/side called "left"/)
  expect(() => fuse({ a: { within: '1s', fill: 'next' as 'last' } })).toThrow(/'last', 'interpolate' or/)
  expect(() => fuse({ a: { within: '1s' } }, { record: true })).toThrow(/without a bounded wait/)
  expect(() => fuse({ a: { within: '1s' } }, { wait: '0ms' })).toThrow(/"wait" of as-of join "fuse" is 0/)
  expect(() => fuse({ a: { within: '1s' } }, { maxPerKey: 1 })).toThrow(/maxPerKey 1/)
})

describe('asOf with an idle side', () => {
  test('a left row does not wait for a side that is idle', () => {
    // words  500 (then silence)
    // left        1000
    const host = openOperator(fuse({ words: { within: '1s' } }), { inputs: 2 })
    host.send([[500, 'word', 'k']], 1)
    host.watermark(500, 1)
    host.send([[1_000, 'frame', 'k']], 0)
    host.watermark(1_000, 0)
    expect(rows(host.take())).toEqual([])
    host.idle(1)
    expect(rows(host.take())).toEqual([{ key: 'k', left: 'frame', words: 'word' }])
  })

  test('a row that the side gives later is not late for left rows that come after it', () => {
    const host = openOperator(fuse({ words: { within: '1s' } }), { inputs: 2 })
    host.idle(1)
    host.send([[1_000, 'first', 'k']], 0)
    host.watermark(1_000, 0)
    host.send([[1_050, 'word', 'k']], 1)
    host.watermark(1_050, 1)
    host.send([[1_100, 'second', 'k']], 0)
    host.watermark(1_100, 0)
    host.watermark(1_101, 1)
    expect(rows(host.take())).toEqual([
      { key: 'k', left: 'first', words: undefined },
      { key: 'k', left: 'second', words: 'word' },
    ])
  })
})
