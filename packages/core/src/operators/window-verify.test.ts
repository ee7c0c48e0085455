/** Every kind of window through the operator kit: item by item, in one batch, restored after every step, with late rows. */
import { it } from 'vitest'
import { Graph } from '../graph/node.ts'
import type { TimedRow } from '../testing/operator-host.ts'
import { at, end, watermark } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import { count, sum } from '../window/aggregates.ts'
import { collect } from '../window/aggregates-rows.ts'
import type { WindowSpec } from '../window/types.ts'
import { hopping, session, sliding, tumbling } from '../window/windows.ts'
import { windowAggregate } from './window-aggregate.ts'
import { testInput } from './window-test-kit.ts'

type Result = readonly [time: number, start: number, end: number, rows: readonly number[], key?: string]

//  time   1   4 | 12  15 | 18   27 | 40
const timeline = [
  at(4, 4, 'a'),
  at(1, 1, 'a'),
  at(12, 12, 'a'),
  watermark(12),
  at(18, 18, 'a'),
  at(15, 15, 'b'),
  watermark(25),
  at(27, 27, 'a'),
  at(40, 40, 'a'),
  watermark(41),
  end(),
]

const kinds: readonly (readonly [string, WindowSpec, readonly Result[]])[] = [
  [
    'tumbling',
    tumbling('10ms'),
    [
      [9, 0, 10, [4, 1]],
      [19, 10, 20, [12, 18]],
      [19, 10, 20, [15], 'b'],
      [29, 20, 30, [27]],
      [49, 40, 50, [40]],
    ],
  ],
  [
    'hopping',
    hopping('20ms', '10ms'),
    [
      [9, -10, 10, [4, 1]],
      [19, 0, 20, [4, 1, 12, 18]],
      [19, 0, 20, [15], 'b'],
      [29, 10, 30, [12, 18, 27]],
      [29, 10, 30, [15], 'b'],
      [39, 20, 40, [27]],
      [49, 30, 50, [40]],
      [59, 40, 60, [40]],
    ],
  ],
  [
    'session',
    session('9ms'),
    [
      [26, 1, 27, [4, 1, 12, 18]],
      [23, 15, 24, [15], 'b'],
      [35, 27, 36, [27]],
      [48, 40, 49, [40]],
    ],
  ],
  [
    'sliding',
    sliding('10ms'),
    [
      [1, -8, 2, [1]],
      [4, -5, 5, [4, 1]],
      [12, 3, 13, [4, 12]],
      [15, 6, 16, [15], 'b'],
      [18, 9, 19, [12, 18]],
      [27, 18, 28, [18, 27]],
      [40, 31, 41, [40]],
    ],
  ],
]

it.each(kinds)('%s windows pass the operator kit', async (_, window, results) => {
  const graph = new Graph('test')
  const aggregates = { n: count(), sum: sum((v: number) => v), rows: collect<number>() }
  const node = windowAggregate(graph, { input: testInput(graph), name: 'w', window, aggregates })
  await verifyOperator(node, { late: 'dropped' })
    .given(timeline)
    .expect(
      results.map(
        ([time, start, end, rows, key = 'a']): TimedRow => [
          time,
          { key, window: { start, end }, n: rows.length, sum: rows.reduce((a, b) => a + b, 0), rows },
          key,
        ],
      ),
      { order: 'any' },
    )
})
