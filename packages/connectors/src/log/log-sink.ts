/**
 * Appends the rows of a flow to a topic, exactly once.
 *
 * Invariants:
 *  S1  An epoch's records become visible together, in one transaction with the note that they are there.
 *  S2  `publish` of what is noted with the same bytes appends nothing: a crash after the append does no harm.
 *  S3  Records that readers may have seen are never taken back.
 */
import { createHash } from 'node:crypto'
import {
  type Batch,
  markedRow,
  messageOf,
  OperationalError,
  type Position,
  type SinkCommitter,
  type SinkContext,
  type SinkWriter,
  UsageError,
} from 'millrace/connector'
import type { RecordFormat } from './formats.ts'
import type { LogParts } from './log.ts'
import { partitionOf } from './murmur2.ts'
import { encodeBatch, type RecordContent, readRecord, recordBytes, timeHigh, writeRecord } from './records.ts'

export interface WriteSettings<T> {
  readonly topic: string
  readonly key: ((row: T) => string | Uint8Array | null) | undefined
  readonly format: RecordFormat<T>
  readonly existing: 'refuse' | 'append'
}

/** Number of publications so far. */
export type TopicSinkState = { readonly sequence: number }

/** What one epoch may publish: it is held in memory while it is appended. */
const EPOCH_BYTES_MAX = 256 * 1024 * 1024
const BATCH_BYTES = 1024 * 1024

export class TopicWriter<T> implements SinkWriter<T> {
  readonly #settings: WriteSettings<T>
  readonly #ctx: SinkContext

  constructor(settings: WriteSettings<T>, ctx: SinkContext) {
    this.#settings = settings
    this.#ctx = ctx
  }

  /** Records one after the other. @throws OperationalError `RECORD_ENCODE` */
  write(batch: Batch<T>): Uint8Array {
    const records: RecordContent[] = []
    let size = 0
    for (let i = 0; i < batch.length; i++) {
      const record = this.#encode(batch, i)
      records.push(record)
      size += recordBytes(record)
    }
    const out = Buffer.allocUnsafe(size)
    let at = 0
    for (const record of records) at = writeRecord(out, at, record, 0)
    return out
  }

  close(): void {}

  #encode(batch: Batch<T>, i: number): RecordContent {
    const { format, key, topic } = this.#settings
    try {
      const row = markedRow(batch, i)
      const encoded = format.encode(row)
      const time = encoded.timestamp ?? batch.times[i]
      return {
        timestamp: Number.isFinite(time) ? time : Date.now(),
        key: bytesOf(encoded.key === undefined ? (key?.(row) ?? null) : encoded.key),
        value: bytesOf(encoded.value),
        headers: Object.entries(encoded.headers ?? {}).map(([name, value]) => ({
          name,
          value: bytesOf(value) as Uint8Array,
        })),
      }
    } catch (thrown) {
      if (thrown instanceof UsageError) throw thrown
      throw new OperationalError(
        'RECORD_ENCODE',
        `a row for topic "${topic}" cannot be written: ${messageOf(thrown)}. Nothing of this epoch was published; map such rows to plain values before the sink.`,
        { step: this.#ctx.step, data: { topic }, cause: thrown },
      )
    }
  }
}

export class TopicCommitter implements SinkCommitter {
  readonly #settings: Pick<WriteSettings<never>, 'topic' | 'existing'>
  readonly #log: LogParts
  readonly #ctx: SinkContext
  readonly #sink: string
  readonly #giveBack: () => Promise<void>
  /** Publications before the first commit of this state. */
  #before = 0
  #isClosed = false

  constructor(
    settings: Pick<WriteSettings<never>, 'topic' | 'existing'>,
    log: LogParts,
    ctx: SinkContext,
    giveBack: () => Promise<void>,
  ) {
    this.#settings = settings
    this.#log = log
    this.#ctx = ctx
    this.#sink = `${ctx.flow}/${ctx.step}`
    this.#giveBack = giveBack
  }

  /** @throws OperationalError `LOG_SINK_EXISTS`, `LOG_SINK_BEHIND`, `LOG_SINK_STATE` */
  restore(state: Position | undefined): void {
    const { topic, existing } = this.#settings
    const newest = this.#log.reader.lastPublication(topic, this.#sink)
    if (state === undefined) {
      this.#before = newest
      if (newest === 0 || existing === 'append') return
      throw new OperationalError(
        'LOG_SINK_EXISTS',
        `sink "${this.#sink}" has published ${newest} times to topic "${topic}", under state that is gone: what is computed anew would be there twice. Nothing was changed. Bring back the state, remove the results (millrace topics delete ${topic}), or give the sink { existing: 'append' }.`,
        { step: this.#ctx.step, data: { topic, published: newest } },
      )
    }
    const { sequence } = stateOf(state)
    if (newest < sequence) throw behind(this.#sink, sequence, newest, this.#ctx.step)
    // One more is a crash between the append and the next commit.
    if (newest > sequence + 1)
      this.#ctx.log(
        'warn',
        `the flow goes back ${newest - sequence} publications. Topic "${topic}" keeps them; what comes out the same is not appended again, from the first difference on everything is`,
        { topic, published: newest, committed: sequence },
      )
  }

  after(state: Position | undefined, stagedBytes: number): Position {
    const sequence = state === undefined ? this.#before : stateOf(state).sequence
    return { sequence: stagedBytes > 0 ? sequence + 1 : sequence }
  }

  /** @throws OperationalError `LOG_SINK_BEHIND`, `LOG_EPOCH_LARGE`, `LOG_TOPIC_UNKNOWN`, `LOG_DISK`, `LOG_BUSY` */
  async publish(from: Position | undefined, to: Position, staged: AsyncIterable<Uint8Array>): Promise<void> {
    const before = from === undefined ? this.#before : stateOf(from).sequence
    const { sequence } = stateOf(to)
    if (sequence === before) return
    const bytes = await gather(staged, this.#settings.topic)
    const digest = createHash('sha256').update(bytes).digest('base64')
    const result = await this.#log.writer.request('publish', {
      topic: this.#settings.topic,
      sink: this.#sink,
      from: before,
      to: sequence,
      digest,
      batches: this.#cut(bytes, sequence),
    })
    if (result === 'diverged')
      this.#ctx.log(
        'warn',
        `publication ${sequence} differs from the one topic "${this.#settings.topic}" got before the flow went back; it was appended`,
        { sequence },
      )
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#giveBack()
  }

  /** Batches per partition; records without a key go to one partition, another one each time. */
  #cut(bytes: Buffer, sequence: number) {
    const places = this.#log.reader.partitions(this.#settings.topic)
    const drafts: { records: RecordContent[]; bytes: number; partition: number }[] = []
    const open = new Map<number, (typeof drafts)[number]>()
    for (let at = 0; at < bytes.length; ) {
      const record = readRecord(bytes, at)
      const size = 4 + bytes.readUInt32LE(at)
      at += size
      const index = record.key === null ? sequence % places.length : partitionOf(record.key, places.length)
      let draft = open.get(index)
      if (draft === undefined || draft.bytes + size > BATCH_BYTES) {
        draft = { records: [], bytes: 0, partition: places[index].id }
        drafts.push(draft)
        open.set(index, draft)
      }
      draft.records.push({ ...record, headers: record.headers })
      draft.bytes += size
    }
    return drafts.map(({ records, partition }) => ({
      partition,
      count: records.length,
      timeHigh: timeHigh(records),
      bytes: encodeBatch(records.map(({ timestamp, key, value, headers }) => ({ timestamp, key, value, headers }))),
    }))
  }
}

async function gather(staged: AsyncIterable<Uint8Array>, topic: string): Promise<Buffer> {
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of staged) {
    size += part.length
    if (size > EPOCH_BYTES_MAX) {
      throw new OperationalError(
        'LOG_EPOCH_LARGE',
        `one commit publishes more than ${EPOCH_BYTES_MAX} bytes to topic "${topic}"; they become visible at once and are held in memory. Nothing was appended. Commit more often (commitEvery).`,
        { data: { topic } },
      )
    }
    // The runtime may use its buffer again.
    parts.push(Buffer.from(part))
  }
  return Buffer.concat(parts)
}

function bytesOf(value: string | Uint8Array | null): Uint8Array | null {
  if (value === null || value instanceof Uint8Array) return value
  if (typeof value === 'string') return Buffer.from(value)
  throw new TypeError(
    `key, value and headers must be texts, bytes or null; one is ${value === undefined ? 'undefined' : `a ${typeof value}`}`,
  )
}

function behind(sink: string, committed: number, found: number, step: string): OperationalError {
  return new OperationalError(
    'LOG_SINK_BEHIND',
    `the log has ${found} publications of sink "${sink}", but ${committed} were committed to it: the log was deleted or replaced by an older copy. Nothing was appended. Bring back the log, or start without the old state.`,
    { step, data: { sink, committed, found } },
  )
}

function stateOf(state: Position): TopicSinkState {
  const sequence = (state as { sequence?: unknown } | null)?.sequence
  if (Number.isSafeInteger(sequence) && (sequence as number) >= 0) return { sequence: sequence as number }
  throw new OperationalError(
    'LOG_SINK_STATE',
    `the committed state of a topic is ${JSON.stringify(state)}; it must be { sequence }. It was written by another sink: start without the old state.`,
    { data: { state } },
  )
}
