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
  const options = { time: (row: unknown) => Number(row), disorderMs: 2000, idleAfterMs: undefined, alignMs: 1, maxFutureMs: 1 }
  const add = (kind: string, spec: Parameters<Graph['add']>[0]['spec'], name?: string, from?: ReturnType<typeof edge>, buffer?: Buffer) =>
    graph.add({ kind, spec, inputs: from === undefined ? [] : [from], ...(name === undefined ? {} : { name }), ...(buffer === undefined ? {} : { buffer }) })
  const readings = add('source', { type: 'source', source: arraySource([1, 2, 3]), options }, 'readings')
  const filter = add('filter', { type: 'inline', op: 'filter', fn: () => true }, undefined, edge(readings))
  const keyed = add('keyBy', { type: 'inline', op: 'keyBy', fn: (x) => x }, undefined, edge(filter))
  const window = { type: 'operator', create: nothing, outputs: ['late'], keepsKeys: true, describe: { window: 'tumbling 10s' } } as const
  const average = add('window', window, 'average', edge(keyed, 'key'), { capacity: 1000, whenFull: 'block' })
  add('sink', { type: 'sink', sink: { ...arraySink([]), guarantee: 'staged' } }, 'out', edge(average))
  add('sink', { type: 'sink', sink: arraySink([]) }, 'too <late>'.replace(/[<>]/g, ''), edge(average, 'forward' as Partitioning, 'late'))
  return graph
}

const withoutPlaces = (text: string) => text.replace(/ {2}\(plan-text\.test\.ts:\d+\)/g, '')

describe('the text of a plan', () => {
  test('on one worker it shows stages, steps with their parameters, and channels', () => {
    expect(withoutPlaces(planText(planMessage(plan(averages()))))).toMatchInlineSnapshot()
  })

  test('on two workers it says where steps run and where records change workers', () => {
    expect(withoutPlaces(planText(planMessage(plan(averages(), 2))))).toMatchInlineSnapshot()
  })

  test('every step says where in the program it was made', () => {
    expect(planText(planMessage(plan(averages())))).toMatch(/average +window +.*\(plan-text\.test\.ts:\d+\)/)
  })
})

test('the Mermaid flowchart has a box per stage and quotes every name', () => {
  expect(planMermaid(planMessage(plan(averages())))).toMatchInlineSnapshot()
})

test('the plan message survives JSON unchanged', () => {
  const message = planMessage(plan(averages(), 2))
  expect(JSON.parse(JSON.stringify(message))).toEqual(message)
})
