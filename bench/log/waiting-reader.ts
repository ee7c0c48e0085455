/**
 * From a record's due time to the reader that waits for it. Load is open: a record is due by the clock and carries the
 * moment, whatever became of the one before it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Log, openLog } from '@millrace/connectors/log'
import { nowMs } from '../lib/clock.ts'
import { Latencies, type Percentiles } from '../lib/histogram.ts'
import { TOPIC } from './appends.ts'

/** Sends `rate` records a second, each alone, from `startMs` on; resolves when all are acknowledged. */
export async function sendOnTime(log: Log, rate: number, startMs: number, ms: number): Promise<void> {
  const producer = await log.producer()
  // A process that took long to start begins when it can: what it does is late by the clock, not by the log.
  const fromMs = Math.max(startMs, Math.ceil(nowMs()) + 20)
  const count = Math.max(1, Math.round((rate * ms) / 1000))
  const sending: Promise<unknown>[] = []
  for (let i = 0; i < count; ) {
    const dueMs = fromMs + (i * 1000) / rate
    if (nowMs() < dueMs) {
      await sleep(Math.max(1, dueMs - nowMs()))
      continue
    }
    sending.push(producer.send({ topic: TOPIC, value: String(dueMs) }))
    i++
  }
  await Promise.all(sending)
}

/** Sends from a process of its own. */
export async function sendFromHere(folder: string, rate: number, startMs: number, ms: number): Promise<void> {
  const log = await openLog(folder)
  await sendOnTime(log, rate, startMs, ms)
  await log.close()
}

/** Reads until `count` records have come. @throws Error when they do not come within `withinMs` */
export async function readAll(log: Log, count: number, withinMs: number): Promise<Percentiles> {
  const consumer = await log.consumer({ topics: [TOPIC] })
  const latencies = new Latencies()
  const until = nowMs() + withinMs
  for (let read = 0; read < count; ) {
    const records = await consumer.poll({ wait: '1s' })
    const now = nowMs()
    for (const { value } of records) latencies.record(now - Number(value))
    read += records.length
    if (now > until) throw new Error(`${read} of ${count} records came within ${withinMs} ms`)
  }
  await consumer.close()
  return latencies.percentiles()
}
