/** One measurement of the embedded log, in this process and others that it starts; prints JSON. Started by log.ts. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openLog } from '@millrace/connectors/log'
import { measureInChild } from '../lib/child.ts'
import { nowMs } from '../lib/clock.ts'
import { type Cost, measureCpu } from '../lib/cpu.ts'
import type { Percentiles } from '../lib/histogram.ts'
import { type Appended, measureAppends, RECORD_BYTES, type Store, TOPIC } from './appends.ts'
import { copy } from './flow.ts'
import { readAll, sendFromHere, sendOnTime } from './waiting-reader.ts'

export interface ReadRun extends Cost {
  readonly records: number
  /** The same rows out of SQLite, nothing decoded. */
  readonly bareMs: number
}

export interface FlowRun extends Cost {
  readonly records: number
}

const { values } = parseArgs({
  options: {
    what: { type: 'string' },
    folder: { type: 'string' },
    store: { type: 'string', default: 'log' },
    processes: { type: 'string', default: '1' },
    records: { type: 'string', default: '1' },
    rate: { type: 'string', default: '100' },
    start: { type: 'string', default: '0' },
    ms: { type: 'string', default: '1000' },
  },
})
const [processes, records, rate, ms] = [values.processes, values.records, values.rate, values.ms].map(Number)
/** Processes take a moment to start; the load begins when they have. */
const START_MS = 500 + 700 * processes
const folder = values.folder ?? mkdtempSync(join(tmpdir(), 'millrace-bench-log-'))
const startMs = values.folder === undefined ? Math.ceil(nowMs()) + START_MS : Number(values.start)
try {
  console.log(JSON.stringify(await measure()))
} finally {
  if (values.folder === undefined) rmSync(folder, { recursive: true, force: true })
}

function measure(): Promise<unknown> {
  const measures: Record<string, () => Promise<unknown>> = {
    latency,
    appends,
    read,
    flow,
    // In a process that one of these started.
    send: () => sendFromHere(folder, rate, startMs, ms).then(() => ({})),
    append: () => measureAppends(values.store as Store, folder, records, startMs, ms),
  }
  return measures[values.what ?? '']()
}

function others<R>(what: string, more: readonly string[]): Promise<R[]> {
  const args = ['--what', what, '--folder', folder, '--start', String(startMs), '--ms', String(ms), ...more]
  return Promise.all(Array.from({ length: processes }, () => measureInChild<R>('log/run.ts', args)))
}

/** `processes` 0: the sender is this process, too. */
async function latency(): Promise<Percentiles> {
  const log = await openLog(folder)
  await log.admin.createTopic(TOPIC)
  const each = rate / Math.max(1, processes)
  const count = Math.max(1, Math.round((each * ms) / 1000)) * Math.max(1, processes)
  const sending = processes === 0 ? sendOnTime(log, rate, startMs, ms) : others('send', ['--rate', String(each)])
  const [read] = await Promise.all([readAll(log, count, START_MS + ms + 60_000), sending])
  await log.close()
  return read
}

async function appends(): Promise<Appended[]> {
  const log = await openLog(folder)
  await log.admin.createTopic(TOPIC, { partitions: 4 })
  await log.close()
  return others('append', ['--store', values.store, '--records', values.records])
}

async function read(): Promise<ReadRun> {
  await fill(Buffer.alloc(RECORD_BYTES, 'x'))
  const log = await openLog(folder)
  const consumer = await log.consumer({ topics: [TOPIC] })
  let count = 0
  const cost = await measureCpu(async () => {
    while (count < records) count += (await consumer.poll({ maxRecords: 5000 })).length
  })
  await log.close()
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
  const db = new DatabaseSync(join(folder, 'log.db'))
  const { wallMs: bareMs } = await measureCpu(async () => {
    for (const row of db.prepare('SELECT bytes FROM batch ORDER BY partition, base').iterate()) void row.bytes
  })
  db.close()
  return { records: count, bareMs, ...cost }
}

async function flow(): Promise<FlowRun> {
  await fill((n) => JSON.stringify({ key: `k${n % 100}`, at: 1_700_000_000_000 + n, value: n % 1000 }))
  const cost = await measureCpu(() => copy.run({ state: join(folder, 'state'), log: folder }))
  const log = await openLog(folder)
  const { partitions } = await log.admin.describe('copy')
  await log.close()
  const count = partitions.reduce((sum, { next }) => sum + next, 0)
  if (count !== records) throw new Error(`${count} of ${records} records were copied`)
  return { records, ...cost }
}

async function fill(value: Buffer | ((n: number) => string)): Promise<void> {
  const log = await openLog(folder)
  await log.admin.createTopic(TOPIC, { partitions: 4 })
  const producer = await log.producer()
  const BATCH = 1000
  for (let n = 0; n < records; n += BATCH) {
    await producer.send(
      Array.from({ length: BATCH }, (_, i) => ({
        topic: TOPIC,
        key: `k${(n + i) % 100}`,
        value: typeof value === 'function' ? value(n + i) : value,
      })),
    )
  }
  await log.close()
}
