/** Reads one partition of a topic for a flow: its position is an offset. */
import {
  messageOf,
  OperationalError,
  type Position,
  type SourceBatch,
  type SourceContext,
  type SourceReader,
} from 'millrace/connector'
import { type StandardSchema, validate } from '../file/standard-schema.ts'
import type { Beginning } from './client.ts'
import { type RecordFormat, Undecodable } from './formats.ts'
import type { LogParts } from './log.ts'
import type { LogRecord } from './records.ts'

export interface ReadSettings<T> {
  readonly topic: string
  readonly follow: boolean
  readonly from: Beginning
  readonly format: RecordFormat<T>
  readonly schema: StandardSchema<T> | undefined
}

/** A followed partition with nothing new says so after this long. */
const WAIT_MS = 500
/** Kept of a bad record for messages and dead letters. */
const RAW_BYTES = 4096

export class TopicReader<T> implements SourceReader<T> {
  readonly #settings: ReadSettings<T>
  readonly #log: LogParts
  readonly #ctx: SourceContext
  readonly #id: number
  readonly #partition: number
  readonly #giveBack: () => Promise<void>
  readonly #start: number
  /** A bounded reader ends here. */
  readonly #end: number
  #buffered: LogRecord[] = []
  /** Records of the buffer that were given. */
  #given = 0
  #fetchAt: number
  #tick: Promise<void> | undefined
  #isClosed = false

  /** @throws OperationalError `LOG_TOPIC_UNKNOWN`, `LOG_POSITION` */
  constructor(
    settings: ReadSettings<T>,
    log: LogParts,
    partition: string,
    position: Position | undefined,
    ctx: SourceContext,
    giveBack: () => Promise<void>,
  ) {
    const { topic, follow, from } = settings
    const place = log.reader.partitions(topic).find((p) => String(p.partition) === partition)
    if (place === undefined || !(position === undefined || isOffset(position))) {
      throw new OperationalError(
        'LOG_POSITION',
        `topic "${topic}" cannot be read in partition ${partition} at ${JSON.stringify(position)}: ${place === undefined ? 'it has no such partition' : 'a position in a topic is an offset'}. It was written by another connector, or for another topic; start without the old state.`,
        { step: ctx.step, data: { topic, partition, position } },
      )
    }
    this.#settings = settings
    this.#log = log
    this.#ctx = ctx
    this.#id = place.id
    this.#partition = place.partition
    this.#giveBack = giveBack
    this.#start = (position as number | undefined) ?? log.reader.beginning(place, from)
    this.#fetchAt = this.#start
    this.#end = follow ? Number.POSITIVE_INFINITY : place.next
  }

  read(maxRows: number): Promise<SourceBatch<T> | 'end'> | SourceBatch<T> | 'end' {
    if (this.#given === this.#buffered.length) {
      if (this.#fetchAt >= this.#end) return 'end'
      const mark = this.#log.changes.mark()
      this.#fetch()
      if (this.#buffered.length === 0) {
        if (this.#fetchAt >= this.#end) return 'end'
        return this.#wait(mark, maxRows)
      }
    }
    return this.#batch(maxRows)
  }

  lag(): number | undefined {
    if (this.#isClosed) return undefined
    return Math.max(0, Math.min(this.#end, this.#log.reader.place(this.#id).next) - this.#position)
  }

  progress(): number | undefined {
    if (this.#isClosed) return undefined
    const end = Math.min(this.#end, this.#log.reader.place(this.#id).next)
    return end <= this.#start ? 1 : Math.min(1, (this.#position - this.#start) / (end - this.#start))
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#giveBack()
  }

  get #position(): number {
    return this.#buffered[this.#given]?.offset ?? Math.min(this.#fetchAt, this.#end)
  }

  async #wait(mark: number, maxRows: number): Promise<SourceBatch<T> | 'end'> {
    // One wait of the runtime at a time: records may come a thousand times while it lasts.
    this.#tick ??= this.#ctx.wait(WAIT_MS).then(() => {
      this.#tick = undefined
    })
    await Promise.race([this.#tick, this.#log.changes.after(mark, WAIT_MS, this.#ctx.signal)])
    if (this.#isClosed) return 'end'
    this.#fetch()
    return this.#batch(maxRows)
  }

  /** @throws OperationalError `LOG_OFFSET_GONE`, `LOG_DAMAGED` */
  #fetch(): void {
    const { batches, next } = this.#log.reader.fetch(this.#id, this.#fetchAt)
    const topic = this.#settings.topic
    const partition = this.#partition
    this.#buffered = []
    this.#given = 0
    for (const { base, records } of batches) {
      for (const { delta, timestamp, key, value, headers = [] } of records) {
        if (base + delta < this.#end)
          this.#buffered.push({ topic, partition, offset: base + delta, timestamp, key, value, headers })
      }
    }
    this.#fetchAt = next
  }

  #batch(maxRows: number): SourceBatch<T> {
    const rows: T[] = []
    const offsets: number[] = []
    for (; this.#given < this.#buffered.length && rows.length < maxRows; this.#given++) {
      const record = this.#buffered[this.#given]
      const row = this.#decode(record)
      if (row === undefined) continue
      rows.push(row.value)
      offsets.push(record.offset)
    }
    const isExhausted = this.#given === this.#buffered.length
    return {
      rows,
      next: this.#position,
      caughtUp: isExhausted && this.#fetchAt >= Math.min(this.#end, this.#log.reader.place(this.#id).next),
      at: (i) => offsets[i],
    }
  }

  #decode(record: LogRecord): { readonly value: T } | undefined {
    const { format, schema } = this.#settings
    try {
      const value = format.decode(record)
      if (schema === undefined) return { value }
      const checked = validate(schema, value)
      if (checked.problem === undefined) return { value: checked.value }
      this.#reject('SCHEMA_MISS', `the record does not fit the schema: ${checked.problem}`, record)
    } catch (thrown) {
      if (!(thrown instanceof Error) || thrown.name === 'UsageError') throw thrown
      this.#reject(thrown instanceof Undecodable ? thrown.code : 'RECORD_DECODE', messageOf(thrown), record)
    }
    return undefined
  }

  #reject(code: string, message: string, record: LogRecord): void {
    const raw = record.value === null ? null : Buffer.from(record.value.subarray(0, RAW_BYTES)).toString('latin1')
    this.#ctx.reject({ code, message, partition: String(this.#partition), at: record.offset, raw })
  }
}

function isOffset(position: Position): boolean {
  return Number.isSafeInteger(position) && (position as number) >= 0
}
