import { describe, expect, test } from 'vitest'
import { edge, Graph, type GraphNode } from '../graph/node.ts'
import { openOperator } from '../testing/operator-host.ts'
import { at, end, input, watermark } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import { hopping, session, tumbling } from '../window/windows.ts'
import type { JoinType } from './join-types.ts'
import { type JoinWindow, windowJoin } from './join-window.ts'

function join(window: JoinWindow, type: JoinType = 'inner'): GraphNode {
  const graph = new Graph('test')
  const from = (name: string) => edge(graph.add({ kind: 'union', name, inputs: [], spec: { type: 'union' } }), 'key')
  return windowJoin(graph, { name: 'j', left: from('l'), right: from('r'), window, type })
}
const right = input(1)

describe('windowJoin', () => {
  test('pairs all rows of a key that share a tumbling window, when the window ends', async () => {
    const window = { start: 0, end: 10_000 }
    await verifyOperator(join(tumbling('10s')), { late: 'dropped' })
      .given(
        at(3_000, 'l3', 'k'),
        at(1_000, 'l1', 'k'),
        right.at(9_999, 'r9', 'k'),
        right.at(10_000, 'next window', 'k'),
        right.at(5_000, 'other key', 'x'),
        watermark(10_000),
        end(),
      )
      .expect([
        [9_999, { key: 'k', left: 'l1', right: 'r9', window }, 'k'],
        [9_999, { key: 'k', left: 'l3', right: 'r9', window }, 'k'],
      ])
  })

  test('a window fires when the watermark reaches its end, not before, and its rows are dropped', () => {
    const host = openOperator(join(tumbling('10s')))
    host.send([[1_000, 'l', 'k']])
    host.send([[2_000, 'r', 'k']], 1)
    host.watermark(9_999.5)
    expect(host.take()).toEqual([])
    host.watermark(10_000)
    expect(host.take()).toHaveLength(1)
    expect(host.emittedLate).toBe(0)
    expect(host.held).toBe(0)
  })

  test('an outer join gives the rows of a window whose other side is empty', async () => {
    const first = { start: 0, end: 10_000 }
    const second = { start: 10_000, end: 20_000 }
    await verifyOperator(join(tumbling('10s'), 'outer'))
      .given(at(1_000, 'l', 'k'), right.at(11_000, 'r', 'k'), watermark(30_000), end())
      .expect([
        [9_999, { key: 'k', left: 'l', right: undefined, window: first }, 'k'],
        [19_999, { key: 'k', left: undefined, right: 'r', window: second }, 'k'],
      ])
  })

  test('a row that comes after its window has ended is late', () => {
    const host = openOperator(join(tumbling('10s'), 'left'))
    host.watermark(10_000)
    host.send([[9_999, 'late', 'k']])
    host.send([[10_000, 'on time', 'k']])
    expect(host.metrics.late).toBe(1)
    expect(host.take('late').map((e) => e.row)).toEqual(['late'])
    expect(host.held).toBe(1)
  })

  test('a row lies in every hopping window over it; the windows that have ended are over', () => {
    const host = openOperator(join(hopping('10s', '5s')))
    host.send([[7_000, 'l7', 'k']])
    host.watermark(10_000)
    host.send([[10_500, 'r10', 'k']], 1)
    host.watermark(25_000)
    expect(host.take().map((e) => (e.row as { window: unknown }).window)).toEqual([{ start: 5_000, end: 15_000 }])
    expect(host.held).toBe(0)
  })

  test('a session is that of both inputs together: a right row joins two left ones', async () => {
    // left   0 ........ 9 ......... 18 | gap 10
    // right      5          13
    await verifyOperator(join(session('10s')), { late: 'dropped' })
      .given(
        at(0, 'l0', 'k'),
        at(18_000, 'l18', 'k'),
        right.at(9_000, 'r9', 'k'),
        at(40_000, 'alone', 'k'),
        watermark(28_000),
        end(),
      )
      .expect([
        [27_999, { key: 'k', left: 'l0', right: 'r9', window: { start: 0, end: 28_000 } }, 'k'],
        [27_999, { key: 'k', left: 'l18', right: 'r9', window: { start: 0, end: 28_000 } }, 'k'],
      ])
  })

  test('sessions exactly a gap apart stay apart, unless they merge when touching', () => {
    const play = (window: JoinWindow): number => {
      const host = openOperator(join(window))
      host.send([[0, 'l', 'k']])
      host.send([[10_000, 'r', 'k']], 1)
      host.end()
      return host.take().length
    }
    expect(play(session('10s'))).toBe(0)
    expect(play(session('10s', { merge: 'touching' }))).toBe(1)
  })

  test('other windows are refused while the flow is built', () => {
    expect(() => join({ type: 'sliding', sizeMs: 5 } as unknown as JoinWindow)).toThrow(/tumbling, hopping and session/)
  })
})
