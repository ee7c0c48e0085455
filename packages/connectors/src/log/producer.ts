/**
 * Appends records. What is sent in one turn of the event loop, or while an append is under way, goes as one batch per
 * partition.
 *
 * Invariants:
 *  P1  One append is under way at a time, so records of a partition keep the order in which they were sent.
 *  P2  An append of unknown outcome is sent again with the same sequences, which stores it once.
 *  P3  Nothing of a transaction leaves the producer before `commit`, and all of it leaves as one request.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { OperationalError, UsageError } from 'millrace/connector'
import { unknownPartition } from './admin.ts'
import type { Consumer, Producer, ProducerOptions, RecordToSend, SentRecord } from './client.ts'
import { LogConsumer } from './consumer.ts'
import type { LogParts } from './log.ts'
import { partitionOf } from './murmur2.ts'
import { checkName } from './names.ts'
import type { BatchToAppend, OffsetCommit } from './protocol.ts'
import { encodeBatch, type LogHeader, type RecordContent, recordBytes, timeHigh } from './records.ts'

/** Records in one row of the file: a reader decodes it whole. */
const BATCH_BYTES = 1024 * 1024
/** One request; more waits for the next. */
const REQUEST_BYTES = 4 * 1024 * 1024
/** What may wait in a producer before `send` waits, too. */
const BUFFER_BYTES = 32 * 1024 * 1024
const TRANSACTION_BYTES = 64 * 1024 * 1024
const RECORD_BYTES_MAX = 16 * 1024 * 1024
/** How long an append is tried again before `send` fails. */
const DELIVERY_MS = 30_000
const RETRY_MS_MAX = 500

interface Target {
  readonly id: number
  readonly topic: string
  readonly partition: number
}

/** A record on its way. */
interface Pending {
  readonly target: Target
  readonly record: RecordContent
  readonly bytes: number
}

/** A call of `send`: its records may go in several requests. */
interface Sending {
  readonly places: SentRecord[]
  /** Records that are not answered. */
  left: number
  readonly resolve: (places: SentRecord[]) => void
  readonly reject: (error: unknown) => void
}

interface Queued extends Pending {
  readonly sending: Sending
  /** Its place in the call. */
  readonly index: number
}

interface Transaction {
  readonly pending: Pending[]
  readonly commits: { readonly consumer: LogConsumer; readonly commit: OffsetCommit }[]
  bytes: number
}

/** @throws UsageError `LOG_NAME` */
export async function openProducer(
  log: LogParts,
  options: ProducerOptions,
  onClose: (producer: LogProducer) => void,
): Promise<LogProducer> {
  const { transactionalId } = options
  if (transactionalId !== undefined) checkName('transactional id', transactionalId)
  const identity = await log.writer.request('openProducer', { transactionalId, own: undefined })
  return new LogProducer(log, transactionalId, identity, onClose)
}

export class LogProducer implements Producer {
  readonly #log: LogParts
  readonly #transactionalId: string | undefined
  readonly #onClose: (producer: LogProducer) => void
  #identity: { readonly producer: number; readonly epoch: number }
  /** Partition id -> sequence of its next record. */
  #sequences = new Map<number, number>()
  readonly #topics = new Map<string, Target[]>()
  #queue: Queued[] = []
  #queuedBytes = 0
  #running: Promise<void> | undefined
  #transaction: Transaction | undefined
  #mustReopen = false
  #isClosed = false
  /** Partition for records without a key; moves on with every request. */
  #turn = 0

  constructor(
    log: LogParts,
    transactionalId: string | undefined,
    identity: { readonly producer: number; readonly epoch: number },
    onClose: (producer: LogProducer) => void,
  ) {
    this.#onClose = onClose
    this.#log = log
    this.#transactionalId = transactionalId
    this.#identity = identity
  }

  get waitingBytes(): number {
    return this.#queuedBytes
  }

  async send(records: RecordToSend | readonly RecordToSend[]): Promise<SentRecord[]> {
    const list: readonly RecordToSend[] = 'topic' in records ? [records] : records
    this.#checkOpen()
    if (this.#transactionalId !== undefined && this.#transaction === undefined)
      throw misuse('a producer with a transactional id sends within begin() and commit()')
    const prepared = list.map((record) => this.#prepare(record))
    const transaction = this.#transaction
    if (transaction !== undefined) {
      for (const { target, record, bytes } of prepared) {
        transaction.bytes += bytes
        if (transaction.bytes > TRANSACTION_BYTES) throw tooLarge()
        transaction.pending.push({ target, record, bytes })
      }
      return prepared.map(({ target }) => sent(target, undefined))
    }
    while (this.#queuedBytes > BUFFER_BYTES) await this.#running
    if (prepared.length === 0) return []
    return new Promise((resolve, reject) => {
      const sending: Sending = { places: new Array(prepared.length), left: prepared.length, resolve, reject }
      for (const [index, pending] of prepared.entries()) {
        this.#queue.push({ ...pending, sending, index })
        this.#queuedBytes += pending.bytes
      }
      this.#running ??= this.#run()
    })
  }

  async begin(): Promise<void> {
    this.#checkOpen()
    if (this.#transactionalId === undefined) throw misuse('transactions need a producer with a transactionalId')
    if (this.#transaction !== undefined) throw misuse('a transaction has begun already')
    if (this.#mustReopen) await this.#reopen()
    this.#transaction = { pending: [], bytes: 0, commits: [] }
  }

  async sendOffsets(consumer: Consumer): Promise<void> {
    if (!(consumer instanceof LogConsumer)) throw misuse('sendOffsets takes a consumer of this log')
    this.#inTransaction().commits.push({ consumer, commit: consumer.offsetsToCommit() })
  }

  async commit(): Promise<void> {
    const { pending, commits } = this.#inTransaction()
    try {
      await this.#append(
        pending,
        commits.map(({ commit }) => commit),
      )
      for (const { consumer, commit } of commits) consumer.noteStored(commit)
    } catch (thrown) {
      for (const { consumer, commit } of commits) consumer.noteFailed(commit, thrown)
      throw thrown
    } finally {
      this.#transaction = undefined
    }
  }

  async abort(): Promise<void> {
    for (const { consumer, commit } of this.#inTransaction().commits) consumer.noteStored(commit)
    this.#transaction = undefined
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#transaction = undefined
    await this.#running
    this.#onClose(this)
  }

  async #run(): Promise<void> {
    // What is sent in this turn goes together.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#queue.length > 0) {
      let bytes = 0
      let count = 0
      while (count < this.#queue.length && bytes < REQUEST_BYTES) bytes += this.#queue[count++].bytes
      const taken = this.#queue.splice(0, count)
      this.#turn++
      try {
        const bases = await this.#append(taken, [])
        for (const [i, { sending, index, target }] of taken.entries()) {
          sending.places[index] = sent(target, bases[i])
          if (--sending.left === 0) sending.resolve(sending.places)
        }
      } catch (thrown) {
        for (const { sending } of taken) sending.reject(thrown)
      }
      this.#queuedBytes -= bytes
    }
    this.#running = undefined
  }

  /** Offsets of the records, in their order; undefined where a repeated append no longer tells. */
  async #append(pending: readonly Pending[], commits: readonly OffsetCommit[]): Promise<(number | undefined)[]> {
    if (this.#mustReopen) await this.#reopen()
    const before = new Map(this.#sequences)
    const { batches, places } = this.#cut(pending)
    const until = Date.now() + DELIVERY_MS
    for (let tries = 0; ; tries++) {
      try {
        const bases = await this.#log.writer.request('append', { ...this.#identity, batches, commits })
        return places.map(({ batch, at }) => (bases[batch] < 0 ? undefined : bases[batch] + at))
      } catch (thrown) {
        if (!(thrown instanceof OperationalError && thrown.retryable)) {
          this.#sequences = before
          if (this.#transactionalId === undefined && (thrown as { code?: string }).code === 'LOG_FENCED') {
            // Nobody else has this id: it was not used for so long that the log has forgotten it.
            this.#mustReopen = true
            return this.#append(pending, commits)
          }
          // A deleted topic may be made anew, with other partitions.
          this.#topics.clear()
          throw thrown
        }
        if (Date.now() > until) {
          this.#mustReopen = true
          throw thrown
        }
        await sleep(Math.min(RETRY_MS_MAX, 10 * 2 ** tries))
      }
    }
  }

  /** Batches of a partition's records, and where each record lies in them. */
  #cut(pending: readonly Pending[]): { batches: BatchToAppend[]; places: { batch: number; at: number }[] } {
    const drafts: { id: number; records: RecordContent[]; bytes: number }[] = []
    const open = new Map<number, number>()
    const places = pending.map(({ target, record, bytes }) => {
      let batch = open.get(target.id)
      if (batch === undefined || drafts[batch].bytes + bytes > BATCH_BYTES) {
        batch = drafts.push({ id: target.id, records: [], bytes: 0 }) - 1
        open.set(target.id, batch)
      }
      drafts[batch].bytes += bytes
      return { batch, at: drafts[batch].records.push(record) - 1 }
    })
    const batches = drafts.map(({ id, records }) => {
      const sequence = this.#sequences.get(id) ?? 0
      this.#sequences.set(id, sequence + records.length)
      return {
        partition: id,
        sequence,
        count: records.length,
        timeHigh: timeHigh(records),
        bytes: encodeBatch(records),
      }
    })
    return { batches, places }
  }

  #prepare(record: RecordToSend): { target: Target; record: RecordContent; bytes: number } {
    const content = contentOf(record)
    const bytes = recordBytes(content)
    if (bytes > RECORD_BYTES_MAX) {
      throw new UsageError(
        'LOG_RECORD',
        `a record for topic "${record.topic}" takes ${bytes} bytes; the most is ${RECORD_BYTES_MAX}. Put large values elsewhere and send where they are.`,
      )
    }
    const targets = this.#targets(record.topic)
    const partition =
      record.partition ??
      (content.key === null ? this.#turn % targets.length : partitionOf(content.key, targets.length))
    const target = targets[partition]
    if (target === undefined) throw unknownPartition(record.topic, partition)
    return { target, record: content, bytes }
  }

  #targets(topic: string): Target[] {
    let targets = this.#topics.get(topic)
    if (targets === undefined) {
      targets = this.#log.reader.partitions(topic).map(({ id, partition }) => ({ id, topic, partition }))
      this.#topics.set(topic, targets)
    }
    return targets
  }

  /** After an append whose outcome stays unknown: a new epoch, whose sequences begin at 0. */
  async #reopen(): Promise<void> {
    this.#identity = await this.#log.writer.request('openProducer', {
      transactionalId: this.#transactionalId,
      own: this.#identity,
    })
    this.#sequences.clear()
    this.#mustReopen = false
  }

  #inTransaction(): Transaction {
    this.#checkOpen()
    if (this.#transaction === undefined) throw misuse('no transaction has begun')
    return this.#transaction
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new OperationalError('LOG_CLOSED', 'the producer is closed; open another one.')
  }
}

function contentOf({ topic, key, value, headers, timestamp }: RecordToSend): RecordContent {
  if (timestamp !== undefined && !Number.isFinite(timestamp))
    throw new UsageError(
      'LOG_RECORD',
      `a record for topic "${topic}" has the timestamp ${timestamp}; it must be finite.`,
    )
  return {
    timestamp: timestamp ?? Date.now(),
    key: bytesOf(key ?? null, topic),
    value: bytesOf(value, topic),
    headers: headers === undefined ? undefined : headersOf(headers, topic),
  }
}

function headersOf(headers: Readonly<Record<string, string | Uint8Array>>, topic: string): LogHeader[] {
  return Object.entries(headers).map(([name, value]) => ({ name, value: bytesOf(value, topic) as Uint8Array }))
}

function bytesOf(value: string | Uint8Array | null, topic: string): Uint8Array | null {
  if (value === null || value instanceof Uint8Array) return value
  if (typeof value === 'string') return Buffer.from(value)
  throw new UsageError(
    'LOG_RECORD',
    `a record for topic "${topic}" has ${value === undefined ? 'no value' : `a ${typeof value}`} where a text, bytes or null must be.`,
  )
}

const sent = ({ topic, partition }: Target, offset: number | undefined): SentRecord => ({ topic, partition, offset })

function misuse(what: string): UsageError {
  return new UsageError('LOG_TRANSACTION', `${what}.`)
}

function tooLarge(): OperationalError {
  return new OperationalError(
    'LOG_TRANSACTION_LARGE',
    `a transaction holds more than ${TRANSACTION_BYTES} bytes. Nothing of it is visible; abort() it and commit more often.`,
  )
}
