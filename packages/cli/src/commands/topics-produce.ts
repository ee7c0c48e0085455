/** `millrace topics produce`: lines of stdin become records. */
import type { Readable } from 'node:stream'
import type { Log } from '@millrace/connectors/log'
import { UsageError } from 'millrace'
import type { Io } from '../io.ts'

export interface ProduceOptions {
  /** Field of each line that is the key; a.b reaches into objects. */
  readonly key?: string
  /** One key for all lines. */
  readonly fixedKey?: string
}

/** Lines sent together; a sender that is slower than the disk goes line by line. */
const LINES_MAX = 1000
/** What a record of the log may take, with its key. */
const RECORD_BYTES_MAX = 16 * 1024 * 1024
const RECORD_HEAD_BYTES = 64

/** @throws UsageError `TOPICS_LINE`, after the lines before it were appended; what `Producer.send` throws */
export async function produce(
  log: Log,
  topic: string,
  { key, fixedKey }: ProduceOptions,
  input: Readable,
  io: Io,
): Promise<void> {
  if (key !== undefined && fixedKey !== undefined)
    throw new UsageError('TOPICS_KEY', 'say --key FIELD or --fixed-key TEXT, not both. Nothing was appended.')
  // An unknown topic is told before the first line is waited for.
  await log.admin.describe(topic)
  const producer = await log.producer()
  let waiting: { readonly topic: string; readonly key: string | null; readonly value: string }[] = []
  let sending: Promise<void> | undefined
  let sent = 0
  let hasFailed = false
  const send = async (): Promise<void> => {
    while (waiting.length > 0) {
      const some = waiting
      waiting = []
      await producer.send(some)
      sent += some.length
    }
    sending = undefined
  }
  const flush = (): void => {
    sending ??= send()
    // Reported where it is awaited.
    sending.catch(() => {
      hasFailed = true
    })
  }
  try {
    try {
      let number = 0
      for await (const line of linesOf(input)) {
        number++
        if (line.trim() === '') continue
        waiting.push({ topic, key: keyOf(line, key, number) ?? fixedKey ?? null, value: line })
        flush()
        if (hasFailed || waiting.length >= LINES_MAX) await sending
      }
    } finally {
      // Lines before a bad one are kept.
      await sending
    }
  } finally {
    if (sent > 0) io.stderr.write(`appended ${sent} record${sent === 1 ? '' : 's'} to topic ${topic}\n`)
    await producer.close()
  }
}

/** Lines without their ends. A line that no record can hold is refused before it fills the memory. */
async function* linesOf(input: Readable): AsyncGenerator<string> {
  let parts: Buffer[] = []
  let bytes = 0
  let number = 1
  for await (const chunk of input) {
    const buffer = Buffer.from(chunk as Uint8Array)
    let start = 0
    for (let end = buffer.indexOf(10); end >= 0; end = buffer.indexOf(10, start)) {
      const line = Buffer.concat([...parts, buffer.subarray(start, end)])
      checkSize(line.length, number)
      yield withoutReturn(line.toString('utf8'))
      number++
      start = end + 1
      parts = []
      bytes = 0
    }
    if (start < buffer.length) {
      parts.push(buffer.subarray(start))
      bytes += buffer.length - start
      checkSize(bytes, number)
    }
  }
  if (parts.length > 0) yield withoutReturn(Buffer.concat(parts).toString('utf8'))
}

const withoutReturn = (line: string): string => (line.endsWith('\r') ? line.slice(0, -1) : line)

function checkSize(bytes: number, number: number): void {
  if (bytes + RECORD_HEAD_BYTES > RECORD_BYTES_MAX)
    throw refused(number, `takes more than the ${RECORD_BYTES_MAX} bytes that a record may`)
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
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') {
    const key = String(value)
    checkSize(Buffer.byteLength(line) + Buffer.byteLength(key), number)
    return key
  }
  throw refused(
    number,
    `has no text, number or boolean in its field "${field}", which --key says is the key (--fixed-key gives all lines one)`,
  )
}

function refused(number: number, what: string): UsageError {
  return new UsageError(
    'TOPICS_LINE',
    `line ${number} of the input ${what}. The lines before it were appended, it and the rest were not; correct it and send them again from there.`,
    { data: { line: number } },
  )
}
