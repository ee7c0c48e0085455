/**
 * Synced appends as fast as one after the other goes: by the embedded log, by a bare table of SQLite with the same
 * settings, and by a bare file. Each append is on the disk before the next one begins.
 */
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { openLog } from '@millrace/connectors/log'
import { nowMs } from '../lib/clock.ts'
import { Latencies, type Percentiles } from '../lib/histogram.ts'

export type Store = 'log' | 'sqlite' | 'file'

/** Bytes of a record's value. */
export const RECORD_BYTES = 100
export const TOPIC = 'bench'

export interface Appended {
  readonly appends: number
  readonly wallMs: number
  readonly latency: Percentiles
}

interface Appender {
  append(): Promise<void> | void
  close(): Promise<void> | void
}

/** @param records of one append */
export async function measureAppends(
  store: Store,
  folder: string,
  records: number,
  startMs: number,
  ms: number,
): Promise<Appended> {
  const appender = await (store === 'log' ? toLog : store === 'sqlite' ? toSqlite : toFile)(folder, records)
  const latencies = new Latencies()
  while (nowMs() < startMs) await new Promise((resolve) => setTimeout(resolve, Math.max(0, startMs - nowMs())))
  const started = nowMs()
  let appends = 0
  for (let before = started; before < started + ms; appends++) {
    await appender.append()
    const after = nowMs()
    latencies.record(after - before)
    before = after
  }
  const wallMs = nowMs() - started
  await appender.close()
  return { appends, wallMs, latency: latencies.percentiles() }
}

async function toLog(folder: string, records: number): Promise<Appender> {
  const log = await openLog(folder)
  const producer = await log.producer()
  const some = Array.from({ length: records }, () => ({ topic: TOPIC, value: Buffer.alloc(RECORD_BYTES, 'x') }))
  return {
    append: async () => {
      await producer.send(some)
    },
    close: () => log.close(),
  }
}

function toSqlite(folder: string, records: number): Appender {
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
  const db = new DatabaseSync(join(folder, 'bare.db'), { timeout: 5000 })
  db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE IF NOT EXISTS batch (bytes BLOB NOT NULL)')
  const insert = db.prepare('INSERT INTO batch (bytes) VALUES (?)')
  const bytes = Buffer.alloc(records * RECORD_BYTES, 'x')
  return { append: () => void insert.run(bytes), close: () => db.close() }
}

function toFile(folder: string, records: number): Appender {
  const file = openSync(join(folder, 'bare'), 'a')
  const bytes = Buffer.alloc(records * RECORD_BYTES, 'x')
  return {
    append: () => {
      writeSync(file, bytes)
      fdatasyncSync(file)
    },
    close: () => closeSync(file),
  }
}
