/** Flows in worker threads: crashes, rescaling, errors across threads, back-pressure over rings. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, expect, test, vi } from 'vitest'
import type { Dataflow } from '../../src/dataflow.ts'
import type { JobEvent, RunReport } from '../../src/runtime/job-contract.ts'
import type { RunOptions } from '../../src/runtime/run.ts'
import { committedRows } from '../../src/testing/committed-file-sink.ts'
import { changing } from './fixtures/changing.ts'
import { everything, items, keyOf, keys, slow, type Told } from './fixtures/flows.ts'
import { tempFolder } from './kit.ts'

const module = new URL('./fixtures/flows.ts', import.meta.url).href
// Starting a thread takes a second on a busy machine.
vi.setConfig({ testTimeout: 90_000 })
afterEach(() => {
  delete process.env.MILLRACE_TEST
})

function tell(told: Omit<Told, 'folder'> & { folder?: string }): string {
  const folder = told.folder ?? tempFolder()
  process.env.MILLRACE_TEST = JSON.stringify({ ...told, folder })
  return folder
}

function run(flow: Dataflow, folder: string, options: RunOptions = {}): Promise<RunReport> {
  return flow.run({ state: `${folder}/state`, execution: 'threads', module, commitEvery: '20ms', ...options })
}

const files = ['windows', 'process', 'calls', 'unkeyed-calls', 'dedupe', 'fuse', 'limits'] as const

function outputs(folder: string): Record<string, string[]> {
  const read = (name: string) => committedRows(readFileSync(`${folder}/${name}`))
  const sorted = (rows: unknown[]) => rows.map((row) => JSON.stringify(row)).sort()
  return Object.fromEntries(files.map((name) => [name, sorted(read(name))]))
}

/** The un-keyed process step sees the rows in some order; each has a total of its own. */
function checkWhole(folder: string, count: number): void {
  const rows = committedRows(readFileSync(`${folder}/whole`)) as { n: number; total: number }[]
  expect(rows.map((r) => r.n).sort((a, b) => a - b)).toEqual(items(count).map((r) => r.n))
  expect(rows.map((r) => r.total)).toEqual(items(count).map((r) => r.n + 1))
}

let calm: Record<string, string[]> | undefined
async function expected(): Promise<Record<string, string[]>> {
  if (calm === undefined) {
    const folder = tell({})
    await everything.run({ state: `${folder}/state`, execution: 'inline' })
    calm = outputs(folder)
    checkWhole(folder, 2_000)
    expect(calm.calls).toHaveLength(2_000)
  }
  return calm
}

test.each([
  ['exit', 1],
  ['exit', 2],
  ['uncaught', 2],
  ['rejection', 1],
] as const)(
  'a worker that dies (%s, %d workers) starts again from the last commit with nothing lost or twice',
  async (trouble, workers) => {
    const whole = await expected()
    const folder = tell({ trouble, paceMs: 5 })
    const events: JobEvent[] = []
    const report = await run(everything, folder, { workers, onEvent: (event) => events.push(event) })
    expect(report.restarts).toBe(1)
    expect(events.find((event) => event.type === 'restart')).toMatchObject({ error: { code: 'WORKER_CRASHED' } })
    expect(outputs(folder)).toEqual(whole)
    checkWhole(folder, 2_000)
  },
  30_000,
)

test('a worker that dies every time ends the run after restartsMax restarts, with the cause in the message', async () => {
  const folder = tell({ trouble: 'uncaught', always: true })
  await expect(run(everything, folder, { workers: 2, restartsMax: 1 })).rejects.toMatchObject({
    name: 'OperationalError',
    code: 'WORKER_CRASHED',
    message: expect.stringContaining('thrown from a timer'),
  })
}, 90_000)

const child = fileURLToPath(new URL('./fixtures/child.ts', import.meta.url))
async function program(args: string[], env: Record<string, string> = {}): Promise<Record<string, unknown>> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--conditions=millrace-source', ...args], {
    env: { ...process.env, ...env },
    timeout: 80_000,
  })
  try {
    return JSON.parse(stdout) as Record<string, unknown>
  } catch {
    throw new Error(`${stdout}\n${stderr}`.slice(0, 2_000))
  }
}

test('a worker that runs out of memory is one that died', async () => {
  const whole = await expected()
  const folder = tell({ trouble: 'heap', paceMs: 2 })
  const options = { state: `${folder}/state`, workers: 2, execution: 'threads', commitEvery: '20ms' }
  const report = await program(['--max-old-space-size=200', child, 'everything', JSON.stringify(options)])
  expect(report).toEqual({ outcome: 'finished', restarts: 1 })
  expect(outputs(folder)).toEqual(whole)
}, 90_000)

test('the process ends by itself after a run, in threads and inline, also where code generation is forbidden', async () => {
  const whole = await expected()
  for (const [execution, flags] of [
    ['threads', []],
    ['inline', []],
    ['inline', ['--disallow-code-generation-from-strings']],
  ] as const) {
    const folder = tell({ rows: 2_000 })
    const report = await program([
      ...flags,
      child,
      'everything',
      JSON.stringify({ state: `${folder}/state`, execution }),
    ])
    expect(report).toEqual({ outcome: 'finished', restarts: 0 })
    expect(outputs(folder)).toEqual(whole)
    expect(readdirSync(`${folder}/state`).filter((name) => name.endsWith('.tmp'))).toEqual([])
  }
}, 90_000)

test('interpreted loops give what generated ones give', async () => {
  const whole = await expected()
  const folder = tell({})
  await everything.run({ state: `${folder}/state`, execution: 'inline', loops: 'interpreted' })
  expect(outputs(folder)).toEqual(whole)
})

test('1, 2, 3 and again 1 workers, stopped in the middle each time: windows, timers, calls in flight, joins and broadcast state move', async () => {
  const whole = await expected()
  for (const execution of ['inline', 'threads'] as const) {
    const folder = tell({})
    for (const workers of [1, 2, 3]) {
      const until = { numbers: { '*': workers * 130 } }
      const report = await run(everything, folder, { execution, workers, until })
      expect(report.outcome).toBe('stopped')
    }
    const report = await run(everything, folder, { execution, workers: 1 })
    expect(report.outcome).toBe('finished')
    expect(outputs(folder)).toEqual(whole)
    checkWhole(folder, 2_000)
  }
}, 90_000)

test('an error keeps class, code, step, data, and a stack that leads to the function, on its way out of a thread', async () => {
  const folder = tell({ trouble: 'error', always: true })
  const error = (await run(everything, folder, { workers: 2 }).catch((thrown: unknown) => thrown)) as Error & {
    cause: Error
  }
  expect(error).toMatchObject({
    name: 'OperationalError',
    code: 'TEST_TROUBLE',
    step: 'map#1',
    data: { n: 700 },
    message: expect.stringMatching(/row 700 is trouble .*flows\.ts:\d+.*record numbers \d:\d+/),
  })
  expect(error.cause.stack).toMatch(/at deep .*flows\.ts:\d+/)
})

test('a flow that looks different in a worker is refused', async () => {
  const folder = tempFolder()
  const options = {
    state: folder,
    execution: 'threads',
    module: new URL('./fixtures/changing.ts', import.meta.url).href,
  } as const
  await expect(changing.run(options)).rejects.toMatchObject({ name: 'UsageError', code: 'PLAN_DIFFERS' })
  await expect(changing.run({ ...options, module })).rejects.toMatchObject({
    name: 'UsageError',
    code: 'FLOW_NOT_EXPORTED',
  })
})

test('a program that runs its flow at its top level and exports nothing runs with one worker and with two', async () => {
  for (const workers of ['1', '2']) {
    const folder = tempFolder()
    const program_ = fileURLToPath(new URL('./fixtures/top-level.ts', import.meta.url))
    const printed = await program([program_, folder], { WORKERS: workers })
    expect(printed).toEqual({ outcome: 'finished', isMainThread: true, made: true })
    expect(committedRows(readFileSync(`${folder}/out`))).toHaveLength(100)
  }
}, 90_000)

test('a function that blocks a worker for seconds stops neither the other workers nor the next commits', async () => {
  const whole = await expected()
  const folder = tell({ trouble: 'block', paceMs: 2 })
  const events: JobEvent[] = []
  const report = await run(everything, folder, { workers: 2, onEvent: (event) => events.push(event) })
  expect(report.restarts).toBe(0)
  expect(outputs(folder)).toEqual(whole)
  expect(events.filter((event) => event.type === 'commit').length).toBeGreaterThan(1)
}, 90_000)

test.each([
  ['small', 10],
  ['larger than a ring together', 5_000],
  ['each larger than a ring', 3_000_000],
] as const)(
  'keys of every kind and rows with payloads that are %s cross the rings whole',
  async (_, payload) => {
    const rows = payload > 1_000_000 ? 12 : 400
    const folder = tell({ rows, payload, partitions: 3 })
    const report = await run(keys, folder, { workers: 3 })
    expect(report.outcome).toBe('finished')
    const found = committedRows(readFileSync(`${folder}/keys`)) as {
      key: string
      kind: string
      n: number
      length: number
    }[]
    expect(found).toHaveLength(rows)
    expect(new Set(found.map((r) => r.length))).toEqual(new Set([payload / 2]))
    const text = (n: number) => JSON.stringify(keyOf(n), (_k, v) => (typeof v === 'bigint' ? `${v}n` : v))
    const counts = new Map<string, number>()
    for (let n = 0; n < rows; n++) counts.set(text(n), (counts.get(text(n)) ?? 0) + 1)
    const most = new Map<string, number>()
    for (const r of found) most.set(r.key, Math.max(most.get(r.key) ?? 0, r.n))
    expect([...most.values()].reduce((a, b) => a + b, 0)).toBe(rows)
    expect(most.size).toBe(counts.size)
  },
  60_000,
)

test('a slow step behind rings gets every record under block, and its queues hold what they may', async () => {
  const folder = tell({ rows: 3_000 })
  const started = await slow.start({
    state: `${folder}/state`,
    execution: 'threads',
    module,
    workers: 2,
    commitEvery: '20ms',
  })
  let most = 0
  const look = setInterval(() => {
    const id = (name: string) => started.job.options.plan.nodes.find((node) => node.name === name)?.id as number
    const sent = started.job.stepCounters(id('numbers')).recordsOut
    const taken = started.job.stepCounters(id('work')).recordsIn
    most = Math.max(most, sent - taken)
  }, 2)
  const report = await started.done
  clearInterval(look)
  expect(report.steps.out.recordsOut).toBe(3_000)
  // Four channels between two workers, each with its capacity and the output of one call.
  expect(most).toBeLessThanOrEqual(4 * (50 + 50) + 2 * 50)
  expect(most).toBeGreaterThan(50)
}, 90_000)

test('flows made in functions without a name run inline, also in a module that exports something', async () => {
  const program_ = fileURLToPath(new URL('./fixtures/callback.ts', import.meta.url))
  const printed = await program([program_, tempFolder()])
  const outcomes = ['each', 'then', 'timer', 'await'].map((name) => [name, 'finished', true])
  expect(printed).toEqual({ outcomes, top: true, late: true })
})
