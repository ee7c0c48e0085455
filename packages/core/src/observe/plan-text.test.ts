import { describe, expect, test } from 'vitest'
import { type Buffer, edge, Graph, type Partitioning } from '../graph/node.ts'
import { plan } from '../graph/plan.ts'
import { arraySink } from '../testing/array-sink.ts'
import { arraySource } from '../testing/array-source.ts'
import { planMessage } from './plan-message.ts'
import { planMermaid, planText } from './plan-text.ts'

const nothing = () => ({ process() {} })

/** readings -> filter -> keyBy -> average -> out, with the window's late output in a second sink. */
function averages(): Graph {
  const graph = new Graph('sensor-averages')
  const options = {
    time: (row: unknown) => Number(row),
    disorderMs: 2000,
    idleAfterMs: undefined,
    alignMs: 1,
    maxFutureMs: 1,
  }
  const add = (
    kind: string,
    spec: Parameters<Graph['add']>[0]['spec'],
    name?: string,
    from?: ReturnType<typeof edge>,
    buffer?: Buffer,
  ) =>
    graph.add({
      kind,
      spec,
      inputs: from === undefined ? [] : [from],
      ...(name === undefined ? {} : { name }),
      ...(buffer === undefined ? {} : { buffer }),
    })
  const readings = add('source', { type: 'source', source: arraySource([1, 2, 3]), options }, 'readings')
  const filter = add('filter', { type: 'inline', op: 'filter', fn: () => true }, undefined, edge(readings))
  const keyed = add('keyBy', { type: 'inline', op: 'keyBy', fn: (x) => x }, undefined, edge(filter))
  const window = {
    type: 'operator',
    create: nothing,
    outputs: ['late'],
    keepsKeys: true,
    describe: { window: 'tumbling 10s' },
  } as const
  const average = add('window', window, 'average', edge(keyed, 'key'), { capacity: 1000, whenFull: 'block' })
  add('sink', { type: 'sink', sink: { ...arraySink<unknown>([]), guarantee: 'staged' } }, 'out', edge(average))
  add(
    'sink',
    { type: 'sink', sink: arraySink<unknown>([]) },
    'too <late>'.replace(/[<>]/g, ''),
    edge(average, 'forward' as Partitioning, 'late'),
  )
  return graph
}

const withoutPlaces = (text: string) => text.replace(/ {2}\(plan-text\.test\.ts:\d+\)/g, '')

describe('the text of a plan', () => {
  test('on one worker it shows stages, steps with their parameters, and channels', () => {
    expect(withoutPlaces(planText(planMessage(plan(averages()))))).toMatchInlineSnapshot(`
      "flow sensor-averages
      6 steps in 4 stages on 1 worker, plan 12b3b1ec706deabe

      stage 1
        readings  source  array(rows 3, partitions 1), event time, disorder 2 s
        -         filter  
        -         keyBy   

      stage 2
        average   window  window tumbling 10s

      stage 3
        out       sink    array, exactly-once

      stage 4
        too late  sink    array, at-least-once

      channels
        keyBy#2 -> average        queue, 1000 records, blocks when full
        average -> out            queue, 1000 records, blocks when full
        average.late -> too late  queue, 1000 records, blocks when full

      good to know
        sink "too late" is at-least-once: after a crash it may get some records twice.
      "
    `)
  })

  test('on two workers it says where steps run and where records change workers', () => {
    expect(withoutPlaces(planText(planMessage(plan(averages(), 2))))).toMatchInlineSnapshot(`
      "flow sensor-averages
      6 steps in 4 stages on 2 workers, plan 12b3b1ec706deabe

      stage 1, on each of 2 workers
        readings  source  array(rows 3, partitions 1), event time, disorder 2 s
        -         filter  
        -         keyBy   

      stage 2, on each of 2 workers
        average   window  window tumbling 10s

      stage 3, on each of 2 workers
        out       sink    array, exactly-once

      stage 4, on each of 2 workers
        too late  sink    array, at-least-once

      channels
        keyBy#2 -> average        by key, 1000 records between each two workers, blocks when full
        average -> out            queue, 1000 records, blocks when full
        average.late -> too late  queue, 1000 records, blocks when full

      good to know
        sink "too late" is at-least-once: after a crash it may get some records twice.
      "
    `)
  })

  test('every step says where in the program it was made', () => {
    expect(planText(planMessage(plan(averages())))).toMatch(/average +window +.*\(plan-text\.test\.ts:\d+\)/)
  })
})

test('the Mermaid flowchart has a box per stage and quotes every name', () => {
  expect(planMermaid(planMessage(plan(averages())))).toMatchInlineSnapshot(`
    "flowchart LR
      subgraph stage1["stage 1"]
        s0(["readings<br/>array"])
        s1["filter"]
        s2["keyBy"]
      end
      subgraph stage2["stage 2"]
        s3["average<br/>window"]
      end
      subgraph stage3["stage 3"]
        s4[("out<br/>array")]
      end
      subgraph stage4["stage 4"]
        s5[("too late<br/>array")]
      end
      s0 --> s1
      s1 --> s2
      s2 ==> s3
      s3 ==> s4
      s3 ==>|"late"| s5
    "
  `)
})

test('the plan message survives JSON unchanged', () => {
  const message = planMessage(plan(averages(), 2))
  expect(JSON.parse(JSON.stringify(message))).toEqual(message)
})
