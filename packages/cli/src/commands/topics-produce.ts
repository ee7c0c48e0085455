/** `millrace topics produce`: lines of stdin become records. */
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import type { Log } from '@millrace/connectors/log'
import { UsageError } from 'millrace'
import type { Io } from '../io.ts'

/** Lines sent together; a sender that is slower than the disk goes line by line. */
const LINES_MAX = 1000

export async function produce(
  log: Log,
  topic: string,
  keyField: string | undefined,
  input: Readable,
  io: Io,
): Promise<void> {
  // An unknown topic is told before the first line is waited for.
  await log.admin.describe(topic)
  const producer = await log.producer()
  let waiting: { readonly topic: string; readonly key: string | null; readonly value: string }[] = []
  let sending: Promise<unknown> = Promise.resolve()
  let isSending = false
  let sent = 0
  const flush = (): void => {
    if (isSending || waiting.length === 0) return
    const some = waiting
    waiting = []
    isSending = true
    sending = producer.send(some).then(() => {
      sent += some.length
      isSending = false
      flush()
    })
    // Reported where it is awaited.
    sending.catch(() => {})
  }
  let number = 0
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      number++
      if (line.trim() === '') continue
      waiting.push({ topic, key: keyOf(line, keyField, number), value: line })
      flush()
      while (waiting.length >= LINES_MAX) await sending
    }
  } finally {
    // Lines before a bad one are kept.
    while (isSending || waiting.length > 0) {
      await sending
      flush()
    }
    if (sent > 0) io.stderr.write(`appended ${sent} records to topic ${topic}\n`)
    await producer.close()
  }
}

function keyOf(line: string, field: string | undefined, number: number): string | null {
  let row: unknown
  try {
    row = JSON.parse(line)
  } catch (thrown) {
    throw refused(number, `is no JSON: ${(thrown as Error).message}`)
  }
  if (field === undefined) return null
  let value = row
  for (const name of field.split('.'))
    value = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  throw refused(number, `has no text, number or boolean in "${field}", which is the key`)
}

function refused(number: number, what: string): UsageError {
  return new UsageError(
    'TOPICS_LINE',
    `line ${number} of the input ${what}. The lines before it were appended, it and the rest were not; correct it and send them again from there.`,
    { data: { line: number } },
  )
}
