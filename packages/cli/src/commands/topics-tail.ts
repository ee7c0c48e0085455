/** `millrace topics tail`: prints records as they come. */
import { once } from 'node:events'
import type { Log, LogRecord } from '@millrace/connectors/log'
import { UsageError } from 'millrace'
import { EXIT } from '../exit-codes.ts'
import type { Io } from '../io.ts'
import { onSignals } from '../signals.ts'

export interface TailOptions {
  readonly fromBeginning: boolean
  /** Event time, ms since the epoch. */
  readonly since?: number
  readonly max?: number
  readonly json: boolean
}

/** Ends after `max` records, or with Ctrl-C. Resolves to the exit code. */
export async function tail(log: Log, topic: string, options: TailOptions, io: Io): Promise<number> {
  const { fromBeginning, since, json, max = Number.POSITIVE_INFINITY } = options
  if (fromBeginning && since !== undefined)
    throw new UsageError('TOPICS_TAIL', 'say --from-beginning or --since, not both.')
  const from = since === undefined ? (fromBeginning ? 'earliest' : 'latest') : { time: since }
  const stop = new AbortController()
  let code: number = EXIT.ok
  const giveBack = onSignals((signal) => {
    code = signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated
    stop.abort()
  })
  const consumer = await log.consumer({ topics: [topic], from })
  try {
    for (let printed = 0; printed < max && !stop.signal.aborted; ) {
      const maxRecords = Math.min(500, max - printed)
      const records = await consumer.poll({ maxRecords, wait: '1s', signal: stop.signal })
      printed += records.length
      const text = records.map((record) => `${json ? jsonLine(record) : textOf(record.value)}\n`).join('')
      if (text !== '' && !io.stdout.write(text)) await once(io.stdout, 'drain')
    }
    if (consumer.skipped > 0)
      io.stderr.write(`${consumer.skipped} records were removed by retention before they were read\n`)
    return code
  } finally {
    giveBack()
    await consumer.close()
  }
}

function jsonLine({ topic, partition, offset, timestamp, key, value, headers }: LogRecord): string {
  const named = Object.fromEntries(headers.map((header) => [header.name, textOf(header.value)]))
  return JSON.stringify({
    topic,
    partition,
    offset,
    timestamp,
    key: key === null ? null : textOf(key),
    value: value === null ? null : parsed(textOf(value)),
    headers: named,
  })
}

/** JSON values stay JSON; others are texts. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

const textOf = (bytes: Uint8Array | null): string => (bytes === null ? '' : Buffer.from(bytes).toString('utf8'))
