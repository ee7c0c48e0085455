/** What the checks of logs have in common: reading, waiting, and values that say what they are. */
import { ok, strictEqual } from 'node:assert/strict'
import { nodePorts } from '../runtime/node-ports.ts'
import type { LogClientConsumer } from './log-client.ts'

/** Bounds of behaviour are allowed this many times what the implementation says, for a busy machine. */
export const SLACK = 5

export type Read = Awaited<ReturnType<LogClientConsumer['poll']>>

/** Reads until that many records have come; one more would be noticed. Group members get time to join. */
export async function readAll(consumer: LogClientConsumer, count: number): Promise<Read[number][]> {
  const read: Read[number][] = []
  const deadline = now() + READ_MS
  while (read.length < count && now() < deadline) read.push(...(await consumer.poll({ wait: '200ms' })))
  strictEqual(read.length, count, `${read.length} records were read, ${count} are there`)
  return read
}

const READ_MS = 20_000

export const now = (): number => nodePorts().clock.monotonic()

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => nodePorts().scheduler.after(ms, resolve))
}

export async function until(ms: number, what: string, isTrue: () => Promise<boolean>): Promise<void> {
  for (const deadline = now() + ms; !(await isTrue()); ) {
    ok(now() < deadline, `${what}: not within ${ms} ms`)
    await pause(10)
  }
}

export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

export function text(value: string | Uint8Array | null): string | null {
  return value === null ? null : Buffer.from(value).toString('latin1')
}

export const number = (record: Read[number]): number => Number(Buffer.from(record.value ?? '').toString())

export const numbers = (records: readonly Read[number][]): number[] => records.map(number)
