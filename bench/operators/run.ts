/**
 * Measures one operator in this process, through the production runtime in this thread, and prints JSON:
 *
 *   node --conditions=millrace-source bench/operators/run.ts 'tumbling 1s, count' --rows 500000 --times 5
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { dataflow, type Stream } from 'millrace'
import type { Batch, Sink } from 'millrace/connector'
import { measureCpu } from '../lib/cpu.ts'
import { cases, type OperatorCase } from './cases.ts'
import { batchSource, inColumns, inRows, makeRows, type Reading } from './rows.ts'

/** Nanoseconds of CPU per input record, of all threads of the process; one figure per run. */
export interface OperatorRun {
  /** Source, operator and sink. */
  readonly flowNs: readonly number[]
  /** The same flow without the operator. */
  readonly emptyNs: readonly number[]
  readonly byHandNs: readonly number[]
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rows: { type: 'string', default: '200000' },
    times: { type: 'string', default: '3' },
    commit: { type: 'string', default: '1h' },
  },
})
const chosen = cases[positionals[0]]
const rows = makeRows(Number(values.rows))
const main = chosen.input === 'columns' ? inColumns(rows) : inRows(rows)
const sideRows = rows.filter((row) => row.id % 10 === 0)
const side = chosen.hasSide ? inRows(sideRows) : undefined
const inputs = rows.length + (side === undefined ? 0 : sideRows.length)
const folder = mkdtempSync(join(tmpdir(), 'millrace-operators-'))
const measured = { flowNs: [] as number[], emptyNs: [] as number[], byHandNs: [] as number[] }
try {
  // The first round warms the process up.
  for (let round = 0; round <= Number(values.times); round++) {
    const flowNs = await run((input, other) => chosen.build(input, other), round)
    const emptyNs = await run(nothing, round, 'empty')
    const byHandNs = chosen.byHand === undefined ? undefined : await byHand(chosen.byHand)
    if (round === 0) continue
    measured.flowNs.push(flowNs)
    measured.emptyNs.push(emptyNs)
    if (byHandNs !== undefined) measured.byHandNs.push(byHandNs)
  }
  console.log(JSON.stringify(measured satisfies OperatorRun))
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** The flow without the operator; the side stream is read too. */
function nothing(input: Stream<Reading>, other: () => Stream<Reading>): Stream<unknown> {
  if (chosen.hasSide) other()
  return input
}

async function run(build: OperatorCase['build'], round: number, name = 'full'): Promise<number> {
  const flow = dataflow('operator')
  const source = (step: string, batches: readonly Batch<Reading>[]): Stream<Reading> =>
    flow.source(step, batchSource(batches), { time: (row) => row.at, disorder: '0ms' })
  const input = source('main', main)
  const out = build(input, () => {
    const other = source('side', side as readonly Batch<Reading>[])
    if (name === 'empty') other.sink('side sink', blackhole())
    return other
  })
  out.sink('sink', blackhole())
  const { cpuMs } = await measureCpu(() =>
    flow.run({
      state: join(folder, `${name}-${round}`),
      execution: 'inline',
      commitEvery: values.commit as '1h',
      loops: chosen.loops ?? 'auto',
    }),
  )
  return (cpuMs * 1e6) / inputs
}

async function byHand(work: NonNullable<OperatorCase['byHand']>): Promise<number> {
  const { cpuMs } = await measureCpu(async () => work(rows))
  return (cpuMs * 1e6) / inputs
}

function blackhole(): Sink<unknown> {
  return {
    kind: 'bench.blackhole',
    guarantee: 'at-least-once',
    takesChanges: true,
    describe: () => ({}),
    open: () => ({ write() {}, close() {} }),
  }
}
