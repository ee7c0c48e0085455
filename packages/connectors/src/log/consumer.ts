/**
 * Reads records: alone, or as a member of a group that shares the partitions of its topics.
 *
 * Invariants:
 *  C1  A position moves over a record when `poll` has returned it, never before.
 *  C2  After a refused commit a member reads again what it still has: nothing it returned is passed over.
 *  C3  A member lets go of a partition in `poll` only, when everything returned before it has been dealt with.
 */
import { randomUUID } from 'node:crypto'
import { durationMs, OperationalError, positiveDurationMs, UsageError } from 'millrace/connector'
import { unknownPartition } from './admin.ts'
import type { Consumer, ConsumerOptions, PollOptions } from './client.ts'
import type { LogParts } from './log.ts'
import { checkBeginning, checkName, wholeNumber } from './names.ts'
import type { MemberView, OffsetCommit } from './protocol.ts'
import type { LogRecord } from './records.ts'

interface Reading {
  readonly id: number
  readonly topic: string
  readonly partition: number
  readonly generation: number
  /** Offset of the next record to return. */
  position: number
  /** The position at the last answered commit, or where reading began. */
  committed: number
  /** Fetched and not yet returned. */
  buffered: LogRecord[]
  /** Where to fetch next. */
  fetchAt: number
}

export class LogConsumer implements Consumer {
  skipped = 0
  readonly #log: LogParts
  readonly #options: ConsumerOptions
  readonly #onClose: (consumer: LogConsumer) => void
  readonly #leaseMs: number
  readonly #revokeWithinMs: number
  readonly #reading = new Map<number, Reading>()
  #member: string | undefined
  #view: MemberView | undefined
  #forget: () => void = () => {}
  #isStarted = false
  /** Partitions went away with records that were returned and not committed. */
  #hasLost = false
  /** Records were returned since the last commit. */
  #isBehind = false
  #isClosed = false
  #turn = 0

  constructor(log: LogParts, options: ConsumerOptions, onClose: (consumer: LogConsumer) => void) {
    this.#log = log
    this.#onClose = onClose
    this.#options = options
    this.#leaseMs = positiveDurationMs(options.lease ?? '10s', 'lease')
    this.#revokeWithinMs = positiveDurationMs(options.revokeWithin ?? '30s', 'revokeWithin')
    if (options.group !== undefined) checkName('group', options.group)
    if (options.from !== undefined) checkBeginning(options.from)
    if (options.topics.length === 0) throw new UsageError('LOG_OPTION', 'a consumer needs one topic or more.')
  }

  async poll(options: PollOptions = {}): Promise<LogRecord[]> {
    const maxRecords = wholeNumber('maxRecords', options.maxRecords ?? 500, 1, 1_000_000)
    const until = Date.now() + durationMs(options.wait ?? '1s', 'wait')
    for (;;) {
      this.#checkOpen()
      const mark = this.#log.changes.mark()
      await this.#prepare()
      const records = this.#take(maxRecords)
      if (records.length > 0) {
        this.#isBehind = true
        return records
      }
      const left = until - Date.now()
      if (left <= 0 || options.signal?.aborted === true) return []
      await this.#log.changes.after(mark, left, options.signal)
    }
  }

  async commit(): Promise<void> {
    const commit = this.offsetsToCommit()
    try {
      if (commit.offsets.length > 0) await this.#log.writer.request('commitOffsets', commit)
    } catch (thrown) {
      this.noteFailed(commit, thrown)
      throw thrown
    }
    this.noteStored(commit)
  }

  assignment(): { readonly topic: string; readonly partition: number; readonly position: number }[] {
    return [...this.#reading.values()].map(({ topic, partition, position }) => ({ topic, partition, position }))
  }

  async seek(topic: string, partition: number, offset: number): Promise<void> {
    wholeNumber('offset', offset, 0, Number.MAX_SAFE_INTEGER)
    if (this.#options.group === undefined) this.#start()
    const reading = [...this.#reading.values()].find((r) => r.topic === topic && r.partition === partition)
    if (reading === undefined) throw unknownPartition(topic, partition)
    reading.position = offset
    reading.committed = offset
    reading.fetchAt = offset
    reading.buffered = []
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#forget()
    this.#onClose(this)
    this.#log.changes.wakeAll()
    const member = this.#member
    const { group } = this.#options
    if (member === undefined || group === undefined) return
    if (this.#options.autoCommit === true) await this.commit().catch(() => {})
    this.#member = undefined
    await this.#log.writer.request('leave', { group, member })
  }

  /** Also for a producer whose transaction held these offsets. */
  noteFailed(commit: OffsetCommit, thrown: unknown): void {
    // Of unknown outcome: whoever asked was told so and finds out.
    if (thrown instanceof OperationalError && thrown.retryable) this.noteStored(commit)
    else this.#rewind()
  }

  noteStored({ offsets }: OffsetCommit): void {
    this.#isBehind = false
    for (const { partition, next } of offsets) {
      const reading = this.#reading.get(partition)
      if (reading !== undefined) reading.committed = next
    }
  }

  /** For `producer.sendOffsets`. @throws OperationalError `LOG_GENERATION` when records of lost partitions would be left out */
  offsetsToCommit(): OffsetCommit {
    const { group } = this.#options
    if (this.#hasLost) {
      this.#hasLost = false
      this.#rewind()
      throw new OperationalError(
        'LOG_GENERATION',
        `some of what poll() returned since the last commit is of partitions that went to other members of group "${group}" and are read again there. Nothing was committed; undo what was done since the last commit, poll() gives what is still this member's again. Or commit in onRevoked.`,
        { data: { group } },
      )
    }
    if (group === undefined)
      throw new UsageError('LOG_OPTION', 'a consumer without a group has no offsets to commit; give it { group }.')
    const offsets = [...this.#reading.values()].map(({ id, position, generation }) => ({
      partition: id,
      next: position,
      generation,
    }))
    return { group, member: this.#member ?? 'none', offsets }
  }

  /** Goes on behind the last commit. */
  #rewind(): void {
    this.#isBehind = false
    for (const reading of this.#reading.values()) {
      reading.position = reading.committed
      reading.fetchAt = reading.committed
      reading.buffered = []
    }
  }

  async #prepare(): Promise<void> {
    if (this.#options.group === undefined) {
      this.#start()
      return
    }
    if (this.#options.autoCommit === true && this.#isBehind && this.#member !== undefined) await this.#autoCommit()
    if (this.#member === undefined) await this.#join(this.#options.group)
    await this.#follow(this.#options.group)
  }

  /** Without a group: all partitions of the topics. */
  #start(): void {
    if (this.#isStarted) return
    this.#isStarted = true
    for (const topic of this.#options.topics) {
      for (const { id, partition } of this.#log.reader.partitions(topic)) this.#add(id, topic, partition, 0, undefined)
    }
  }

  async #join(group: string): Promise<void> {
    const member = randomUUID()
    const { topics, strategy = 'range' } = this.#options
    for (const topic of topics) this.#log.reader.partitions(topic)
    for (const id of [...this.#reading.keys()]) this.#drop(id)
    this.#forget = this.#log.writer.onMember(member, (view) => {
      this.#view = view
      if (view === undefined) this.#member = undefined
      this.#log.changes.wakeAll()
    })
    this.#member = member
    try {
      this.#view = await this.#log.writer.request('join', {
        group,
        member,
        topics,
        strategy,
        leaseMs: this.#leaseMs,
        revokeWithinMs: this.#revokeWithinMs,
      })
    } catch (thrown) {
      this.#lose()
      throw thrown
    }
  }

  /** Takes over and lets go of partitions as the group says. */
  async #follow(group: string): Promise<void> {
    try {
      const member = this.#member
      if (member === undefined) return
      if (this.#view !== undefined && this.#log.reader.generation(group) !== this.#view.generation)
        this.#view = await this.#log.writer.request('heartbeat', { group, member })
      const revoked = this.#view?.revoked ?? []
      if (revoked.length > 0) {
        const readings = revoked.flatMap((id) => this.#reading.get(id) ?? [])
        await this.#options.onRevoked?.(readings.map(({ topic, partition }) => ({ topic, partition })))
        for (const id of revoked) this.#drop(id)
        this.#view = await this.#log.writer.request('release', { group, member, partitions: revoked })
      }
      const owned = new Map((this.#view?.owned ?? []).map((each) => [each.partition, each]))
      for (const [id, { generation }] of this.#reading) {
        if (owned.get(id)?.generation !== generation) this.#drop(id)
      }
      for (const { partition, topic, number, generation, committed } of owned.values()) {
        if (!this.#reading.has(partition) && this.#view?.revoked.includes(partition) !== true)
          this.#add(partition, topic, number, generation, committed)
      }
    } catch (thrown) {
      if ((thrown as { code?: string }).code !== 'LOG_MEMBER_UNKNOWN') throw thrown
      this.#lose()
    }
  }

  /** Others have the partitions now; what was read and not committed is read there. The next poll joins again. */
  async #autoCommit(): Promise<void> {
    try {
      await this.commit()
    } catch (thrown) {
      const code = (thrown as { code?: string }).code
      if (code === 'LOG_MEMBER_UNKNOWN') this.#lose()
      else if (code !== 'LOG_GENERATION') throw thrown
    }
  }

  #lose(): void {
    this.#forget()
    this.#member = undefined
    this.#view = undefined
    for (const id of [...this.#reading.keys()]) this.#drop(id)
  }

  #drop(id: number): void {
    const reading = this.#reading.get(id)
    if (reading !== undefined && reading.position > reading.committed) this.#hasLost = true
    this.#reading.delete(id)
  }

  #add(id: number, topic: string, partition: number, generation: number, committed: number | undefined): void {
    const place = this.#log.reader.place(id)
    const position = committed ?? this.#log.reader.beginning({ id, ...place }, this.#options.from ?? 'earliest')
    this.#reading.set(id, {
      id,
      topic,
      partition,
      generation,
      position,
      committed: position,
      fetchAt: position,
      buffered: [],
    })
  }

  /** Up to `max` records, beginning with another partition each time. */
  #take(max: number): LogRecord[] {
    const taken: LogRecord[] = []
    const readings = [...this.#reading.values()]
    this.#turn++
    for (let i = 0; i < readings.length && taken.length < max; i++) {
      const reading = readings[(i + this.#turn) % readings.length]
      if (reading.buffered.length === 0) this.#fetch(reading)
      const some = reading.buffered.splice(0, max - taken.length)
      for (const record of some) taken.push(record)
      reading.position = reading.buffered[0]?.offset ?? reading.fetchAt
    }
    return taken
  }

  #fetch(reading: Reading): void {
    const { id, topic, partition } = reading
    try {
      const { batches, next } = this.#log.reader.fetch(id, reading.fetchAt)
      for (const { base, records } of batches) {
        for (const { delta, timestamp, key, value, headers = [] } of records)
          reading.buffered.push({ topic, partition, offset: base + delta, timestamp, key, value, headers })
      }
      reading.fetchAt = next
    } catch (thrown) {
      const first = goneFirst(thrown, reading.fetchAt)
      if (first === undefined) throw thrown
      this.skipped += first - reading.fetchAt
      reading.fetchAt = first
      this.#fetch(reading)
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new OperationalError('LOG_CLOSED', 'the consumer is closed; open another one.')
  }
}

/** First offset that is left, when retention was faster than the reader. */
function goneFirst(thrown: unknown, offset: number): number | undefined {
  if (!(thrown instanceof OperationalError) || thrown.code !== 'LOG_OFFSET_GONE') return undefined
  const first = thrown.data.first as number
  return first > offset ? first : undefined
}
