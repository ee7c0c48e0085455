/** The balance on real flows: whatever the steps do with records, at the end every one is accounted for. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { type Dataflow, dataflow } from '../dataflow.ts'
import { dlq } from '../graph/error-policy.ts'
import type { DeadLetter } from '../graph/node.ts'
import { nodePorts } from '../runtime/node-ports.ts'
import { arraySink } from '../testing/array-sink.ts'
import { arraySource } from '../testing/array-source.ts'
import { count, sum } from '../window/aggregates.ts'
import { tumbling } from '../window/windows.ts'
import type { BalanceMessage, ObserveMessage } from './contract.ts'
import { Observer } from './observer.ts'

interface Row {
  readonly key: string
  readonly at: number
  readonly n: number
}

const root = mkdtempSync(path.join(tmpdir(), 'millrace-balance-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

/** 3,000 rows of five keys; every 50th comes far too late. */
const rows = Array.from({ length: 3_000 }, (_, i): Row => {
  return { key: `k${i % 5}`, at: 1_000_000 + i * 10 - (i % 50 === 49 ? 20_000 : 0), n: i % 40 }
})

const source = (flow: Dataflow, name: string, data: readonly Row[] = rows) =>
  flow.source(name, arraySource(data, { partitions: 2 }), { time: (r) => r.at, disorder: '100ms' })

/** Runs to the end and gives the last balance. */
async function balanceOf(flow: Dataflow, workers: number, state: string, until?: number): Promise<BalanceMessage> {
  const observer = new Observer(nodePorts())
  const messages: ObserveMessage[] = []
  observer.listen((message) => messages.push(message))
  const run = await flow.start({
    execution: 'inline',
    workers,
    state,
    onEvent: observer.onEvent,
    ...(until === undefined ? {} : { until }),
  })
  observer.attach(run.job)
  await run.done
  observer.close()
  return messages.findLast((m) => m.type === 'balance') as BalanceMessage
}

const flows: Readonly<Record<string, (flow: Dataflow) => void>> = {
  'filters, maps and flat maps': (flow) => {
    source(flow, 'in')
      .filter((r) => r.n > 3)
      .flatMap((r) => [r, r])
      .map((r) => r.n)
      .sink('out', arraySink<number>([]))
  },
  'two readers of one stream, and a union': (flow) => {
    const input = source(flow, 'in')
    const odd = input.filter((r) => r.n % 2 === 1)
    odd.union(input).sink('both', arraySink<Row>([]))
    odd.sink('odd', arraySink<Row>([]))
  },
  'a branch': (flow) => {
    const { small, large } = source(flow, 'in').branch({ small: (r) => r.n < 10, large: (r) => r.n >= 10 })
    small.sink('small', arraySink<Row>([]))
    large.sink('large', arraySink<Row>([]))
  },
  'windows with late records': (flow) => {
    source(flow, 'in')
      .keyBy((r) => r.key)
      .window(tumbling('1s'), { lateTo: arraySink<Row>([]) })
      .aggregate('sums', { n: count(), total: sum((r) => r.n) })
      .sink('out', arraySink<unknown>([]))
  },
  'an as-of join': (flow) => {
    const right = source(flow, 'right').keyBy((r) => r.key)
    source(flow, 'left')
      .keyBy((r) => r.key)
      .asOf('fuse', { right: { stream: right, within: '50ms', required: true } })
      .sink('out', arraySink<unknown>([]))
  },
  'an interval join': (flow) => {
    const right = source(flow, 'right').keyBy((r) => r.key)
    source(flow, 'left')
      .keyBy((r) => r.key)
      .join('near', right, { within: ['50ms', '50ms'] })
      .sink('out', arraySink<unknown>([]))
  },
  deduplication: (flow) => {
    source(flow, 'in')
      .dedupe('once', { by: (r) => r.n, within: '1h' })
      .sink('out', arraySink<Row>([]))
  },
  calls: (flow) => {
    source(flow, 'in', rows.slice(0, 200))
      .mapAsync('ask', async (r) => r.n, { capacity: 8 })
      .sink('out', arraySink<number>([]))
  },
  'failing records': (flow) => {
    const odd = (r: Row): Row => {
      if (r.n === 7) throw new Error('seven')
      return r
    }
    source(flow, 'in')
      .map(odd, { onError: 'skip' })
      .map((r) => (r.n === 8 ? odd({ ...r, n: 7 }) : r), { onError: dlq(arraySink<DeadLetter>([])) })
      .sink('out', arraySink<Row>([]))
  },
}

for (const workers of [1, 2]) {
  test.each(Object.keys(flows))(`%s on ${workers} worker(s) leave no remainder`, async (name) => {
    const flow = dataflow('balance')
    flows[name](flow)
    const balance = await balanceOf(flow, workers, path.join(root, `${name}-${workers}`.replaceAll(' ', '-')))
    const wrong = balance.steps.filter((s) => s.remainder !== 0)
    expect(wrong).toEqual([])
    expect(balance).toMatchObject({ remainder: 0 })
    expect(balance.in).toBeGreaterThan(0)
  })
}

test.each(['windows with late records', 'an as-of join', 'an interval join'])(
  '%s leave no remainder when the run ends in the middle and another one continues',
  async (name) => {
    const state = path.join(root, `${name} twice`)
    const lives: BalanceMessage[] = []
    for (const until of [1_001_500, undefined]) {
      const flow = dataflow('balance')
      flows[name](flow)
      lives.push(await balanceOf(flow, 1, state, until))
    }
    expect(lives.map((b) => b.steps.filter((s) => s.remainder !== 0))).toEqual([[], []])
    expect(lives.map((b) => b.remainder)).toEqual([0, 0])
    expect(lives[1].restored).toBe(lives[0].inFlight)
    expect(lives[1].in).toBeGreaterThan(0)
  },
)
