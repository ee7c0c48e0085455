/**
 * A source inside a stage: reads its partitions ahead, gives rows their event times, and merges the partitions'
 * watermarks.
 *
 * Invariants:
 *  S1  A partition's position moves only when its batch has been handed to the stage, so position and state agree.
 *  S2  A partition's watermark is its largest event time minus the disorder; it never falls.
 *  S3  The source's watermark is the minimum over partitions that are neither idle nor ended; when all are idle, the
 *      maximum: it must not depend on which of them fell idle first.
 *  S4  A partition is idle only when its reader said that nothing more exists, `idleAfter` or longer after its last
 *      record: a backlog is never idle, and neither is a partition whose reader does not answer.
 *  S5  At most one batch per partition is read ahead.
 */
import { type Batch, type Origin, RowBatch } from '../batch/batch.ts'
import type { PartitionCommit } from '../checkpoint/manifest.ts'
import type { BadRecord, Position, SourceBatch, SourceReader } from '../connector.ts'
import { InvariantError, OperationalError } from '../errors.ts'
import type { GraphNode, SourceSettings } from '../graph/node.ts'
import { applyErrorPolicy, connectorError, retrying } from './failures.ts'
import type { Receiver } from './receiver.ts'
import { StepCounter, type StepHost } from './step-host.ts'
import { hasPassed, rowsLeft, type Until } from './until.ts'

/** Default rows per read: large enough to pay for the batch, small enough to stay under a millisecond of work. */
export const READ_ROWS = 1024

/** How soon a partition that was too far ahead looks again whether the slowest has come up. */
const ALIGN_CHECK_MS = 5

/** What a checkpoint keeps of a partition. */
export type PartitionState = PartitionCommit

/** What observers see of a partition. */
export interface PartitionStatus {
  readonly source: string
  readonly partition: string
  readonly position: Position | undefined
  readonly watermark: number
  readonly lastRecordAtMs: number
  readonly isIdle: boolean
  readonly isEnded: boolean
  readonly isPausedByAlignment: boolean
  readonly lag: number | undefined
  readonly progress: number | undefined
  readonly rows: number
}

class Partition {
  readonly name: string
  readonly reader: SourceReader<unknown>
  position: Position | undefined
  watermark: number
  maxTime = Number.NEGATIVE_INFINITY
  rows: number
  /** Read and not handed on yet, with the records that were refused while reading it. */
  ready: SourceBatch<unknown> | 'end' | undefined
  rejected: BadRecord[] = []
  isReading = false
  isEnded = false
  /** Has come as far as this run should read. */
  hasPassed = false
  isIdle = false
  isPaused = false
  /** The position the reader was last told to be committed. */
  acknowledged: Position | undefined
  /** When the reader last said that it has given everything there is; it is -Infinity once it said otherwise. */
  caughtUpAtMs = Number.NEGATIVE_INFINITY
  lastRecordAtMs: number

  constructor(name: string, reader: SourceReader<unknown>, saved: PartitionState | undefined, nowMs: number) {
    this.name = name
    this.reader = reader
    this.position = saved?.position
    this.acknowledged = saved?.position
    this.watermark = saved?.watermark ?? Number.NEGATIVE_INFINITY
    this.rows = saved?.rows ?? 0
    this.lastRecordAtMs = nowMs
  }
}

/** Shared between all sources of a flow, over workers: how far each has come, for alignment. */
export interface Alignment {
  /** Publishes this source's slowest active watermark (NaN: nothing active). */
  publish(node: number, watermark: number): void
  /** Smallest watermark among the sources that meet this one, Infinity when none is active. */
  slowest(node: number): number
}

export class SourceInput {
  readonly node: GraphNode
  readonly counter: StepCounter
  readonly #settings: SourceSettings
  readonly #time: SourceSettings['time']
  readonly #host: StepHost
  readonly #next: Receiver
  readonly #partitions: Partition[] = []
  readonly #alignment: Alignment
  readonly #dead: Receiver
  readonly #fail: (error: unknown) => void
  readonly #until: Until | undefined
  readonly #batchRows: number
  #turn = 0
  #watermark = Number.NEGATIVE_INFINITY
  #isIdle = false
  #isStopped = false
  #announced = false

  constructor(
    node: GraphNode,
    host: StepHost,
    next: Receiver,
    dead: Receiver,
    alignment: Alignment,
    fail: (error: unknown) => void,
    until: Until | undefined,
    batchRows: number,
  ) {
    if (node.spec.type !== 'source') throw new InvariantError('SOURCE', `${node.name} is not a source`)
    this.node = node
    this.#settings = node.spec.options
    this.#host = host
    this.#next = next
    this.#alignment = alignment
    this.#dead = dead
    this.#fail = (error) => fail(connectorError(error, 'SOURCE_FAILED', node.name))
    this.#until = until
    this.#batchRows = batchRows
    this.counter = new StepCounter(host.counters, node.id)
    const { time } = this.#settings
    this.#time = time === 'processing' ? time : retrying(time, node.onError, this.counter)
  }

  add(name: string, reader: SourceReader<unknown>, saved: PartitionState | undefined): void {
    this.#partitions.push(new Partition(name, reader, saved, this.#host.ports.clock.now()))
  }

  /**
   * A record the reader could not decode. It waits for the batch it was read with: its dead letter must lie on the same
   * side of a barrier as the position, or a restart would write it twice (S1).
   */
  reject(bad: BadRecord): void {
    this.#partitions.find((p) => p.name === bad.partition)?.rejected.push(bad)
  }

  /** Records the reader had to let go: they came in, and are dropped. */
  lost(count: number): void {
    this.counter.add('recordsIn', count)
    this.counter.dropped(count, 'buffer-full')
  }

  /** Does a reader want to hear of commits? */
  get acknowledges(): boolean {
    return this.#partitions.some((p) => p.reader.committed !== undefined)
  }

  /** A commit that holds these states is durable and published. */
  committed(states: Readonly<Record<string, PartitionState>>): void {
    for (const partition of this.#partitions) {
      const position = states[partition.name]?.position
      if (position === undefined || position === partition.acknowledged) continue
      partition.acknowledged = position
      try {
        partition.reader.committed?.(position)
      } catch (error) {
        this.#fail(error)
      }
    }
  }

  #refuse(bad: BadRecord): void {
    const error = new OperationalError(bad.code, bad.message, { data: { partition: bad.partition, at: bad.at } })
    const origin = `${this.node.name} ${bad.partition}:${bad.at}`
    applyErrorPolicy(this.node, this.counter, this.#dead, error, bad.raw, Number.NaN, undefined, origin)
  }

  /** Stops reading; batches already read are dropped, their positions have not moved. */
  stop(): void {
    this.#isStopped = true
  }

  /** Every partition has ended or has come as far as this run should read. */
  get hasPassed(): boolean {
    return this.#partitions.every((p) => p.isEnded || p.hasPassed)
  }

  /** Starts reads that are due and hands one ready batch to the stage. True when something was handed on. */
  poll(): boolean {
    if (this.#isStopped) return false
    const now = this.#host.ports.clock.now()
    if (!this.#announced) {
      this.#announced = true
      this.#advance()
    }
    let didWork = false
    const count = this.#partitions.length
    for (let k = 0; k < count && !didWork; k++) {
      const partition = this.#partitions[(this.#turn + k) % count]
      if (partition.ready === undefined) this.#read(partition)
      const batch = partition.ready
      if (batch === undefined) continue
      this.#turn = (this.#turn + k + 1) % count
      partition.ready = undefined
      didWork = this.#take(partition, batch, now)
      if (batch !== 'end') this.#read(partition)
      // After an empty batch the stage has done nothing and may sleep, but the next one may be here already.
      if (!didWork && partition.ready !== undefined) this.#host.wake()
    }
    this.#updateIdle()
    return didWork
  }

  states(): Record<string, PartitionState> {
    const out: Record<string, PartitionState> = {}
    for (const p of this.#partitions) {
      if (p.position === undefined) continue
      const watermark = Number.isFinite(p.watermark) ? p.watermark : null
      out[p.name] = { position: p.position, watermark, isIdle: p.isIdle, rows: p.rows }
    }
    return out
  }

  statuses(): PartitionStatus[] {
    return this.#partitions.map((p) => ({
      source: this.node.name,
      partition: p.name,
      position: p.position,
      watermark: p.watermark,
      lastRecordAtMs: p.lastRecordAtMs,
      isIdle: p.isIdle,
      isEnded: p.isEnded,
      isPausedByAlignment: p.isPaused,
      lag: p.isEnded ? 0 : p.reader.lag?.(),
      progress: p.isEnded ? 1 : p.reader.progress?.(),
      rows: p.rows,
    }))
  }

  async close(): Promise<void> {
    this.#isStopped = true
    const closed = await Promise.allSettled(this.#partitions.map(async (p) => p.reader.close()))
    for (const result of closed) if (result.status === 'rejected') throw result.reason
  }

  #read(partition: Partition): void {
    if (partition.isReading || partition.isEnded || partition.ready !== undefined || this.#isStopped) return
    const until = this.#until
    if (
      until !== undefined &&
      hasPassed(until, this.node.name, partition.name, partition.position, partition.watermark)
    ) {
      if (partition.hasPassed) return
      partition.hasPassed = true
      this.#advance()
      return
    }
    partition.isPaused = partition.watermark > this.#alignment.slowest(this.node.id) + this.#settings.alignMs
    if (partition.isPaused) {
      this.#host.wakeAt(this.#host.ports.clock.now() + ALIGN_CHECK_MS)
      return
    }
    const left =
      until === undefined ? this.#batchRows : rowsLeft(until, this.node.name, partition.name, partition.position)
    let result: ReturnType<SourceReader<unknown>['read']>
    try {
      result = partition.reader.read(Math.min(this.#batchRows, left))
    } catch (error) {
      this.#fail(error)
      return
    }
    if (!(result instanceof Promise)) {
      partition.ready = result
      return
    }
    partition.isReading = true
    result.then(
      (value) => {
        partition.isReading = false
        if (this.#isStopped) return
        partition.ready = value
        this.#host.wake()
      },
      (error) => {
        partition.isReading = false
        if (!this.#isStopped) this.#fail(error)
      },
    )
  }

  #take(partition: Partition, source: SourceBatch<unknown> | 'end', now: number): boolean {
    if (partition.rejected.length > 0) {
      const rejected = partition.rejected
      partition.rejected = []
      this.counter.add('recordsIn', rejected.length)
      for (const bad of rejected) this.#refuse(bad)
    }
    if (source === 'end') {
      partition.isEnded = true
      partition.isIdle = false
      this.#advance()
      return true
    }
    partition.caughtUpAtMs = source.caughtUp ? now : Number.NEGATIVE_INFINITY
    const count = source.rows.length
    if (count > 0) {
      partition.lastRecordAtMs = now
      this.counter.add('recordsIn', count)
      const batch = this.#timed(partition, source, now)
      if (partition.isIdle) {
        partition.isIdle = false
        this.#advance()
      }
      if (batch.length > 0) {
        this.counter.add('recordsOut', batch.length)
        this.#next.batch(batch)
      }
      partition.rows += count
    }
    const moved = count > 0 || partition.position !== source.next
    partition.position = source.next
    if (count > 0) {
      const watermark = partition.maxTime - this.#settings.disorderMs
      if (watermark > partition.watermark) {
        partition.watermark = watermark
        this.#advance()
      }
    }
    return moved && count > 0
  }

  /** Gives rows their times; rows without a usable one go to the error policy. */
  #timed(partition: Partition, source: SourceBatch<unknown>, now: number): Batch {
    const rows = source.rows
    const count = rows.length
    const time = this.#time
    const origin: Origin = { source: this.node.name, partition: partition.name, at: (i) => source.at(i) }
    const isArray = Array.isArray(rows)
    const times = new Array<number>(count)
    const latest = now + this.#settings.maxFutureMs
    let maxTime = partition.maxTime
    let bad: number[] | undefined
    for (let i = 0; i < count; i++) {
      if (time === 'processing') {
        times[i] = now
        continue
      }
      const row = isArray ? rows[i] : (rows as Batch).row(i)
      let t: number
      try {
        t = time(row)
      } catch (error) {
        this.#reject(
          'TIME_INVALID',
          `the time function failed: ${error instanceof Error ? error.message : String(error)}`,
          partition,
          source.at(i),
          row,
        )
        ;(bad ??= []).push(i)
        continue
      }
      if (typeof t !== 'number' || t - t !== 0) {
        this.#reject(
          'TIME_INVALID',
          `the time function returned ${describe(t)}; it must return ms since the epoch as a finite number`,
          partition,
          source.at(i),
          row,
        )
        ;(bad ??= []).push(i)
        continue
      }
      if (t > latest) {
        this.#reject(
          'TIME_FUTURE',
          `the event time ${t} (${safeIso(t)}) is more than ${this.#settings.maxFutureMs} ms ahead of the clock; it would push the watermark past everything else`,
          partition,
          source.at(i),
          row,
        )
        ;(bad ??= []).push(i)
        continue
      }
      times[i] = t
      if (t > maxTime) maxTime = t
    }
    partition.maxTime = time === 'processing' ? now : maxTime
    const batch: Batch = isArray
      ? new RowBatch(rows as readonly unknown[], times, undefined, undefined, origin)
      : (rows as Batch).rekey(undefined, times)
    if (bad === undefined) return batch
    const good: number[] = []
    for (let i = 0, b = 0; i < count; i++) {
      if (b < bad.length && bad[b] === i) b++
      else good.push(i)
    }
    return batch.select(good, good.length)
  }

  #reject(code: string, message: string, partition: Partition, at: string | number, row: unknown): void {
    const raw = typeof row === 'object' && row !== null ? { ...row } : row
    this.#refuse({ code, message, partition: partition.name, at, raw })
  }

  #updateIdle(): void {
    const idleAfterMs = this.#settings.idleAfterMs
    if (idleAfterMs === undefined) return
    let changed = false
    for (const p of this.#partitions) {
      if (p.isEnded || p.isIdle || p.ready !== undefined) continue
      if (p.caughtUpAtMs < p.lastRecordAtMs + idleAfterMs) continue
      p.isIdle = true
      changed = true
    }
    if (changed) this.#advance()
  }

  #advance(): void {
    let watermark = Number.POSITIVE_INFINITY
    let furthest = Number.NEGATIVE_INFINITY
    let slowest = Number.NaN
    let active = 0
    let open = 0
    for (const p of this.#partitions) {
      if (p.isEnded) continue
      open++
      if (p.watermark > furthest) furthest = p.watermark
      if (p.isIdle) continue
      active++
      if (p.watermark < watermark) watermark = p.watermark
      // One that has come as far as this run reads does not move again: waiting for it would never end.
      if (!p.hasPassed && !(p.watermark >= slowest)) slowest = p.watermark
    }
    this.#alignment.publish(this.node.id, slowest)
    const isIdle = open > 0 && active === 0
    if (isIdle) watermark = furthest
    if (!isIdle && this.#isIdle) this.#sendIdle(false)
    if (watermark > this.#watermark) {
      this.#watermark = watermark
      this.counter.put('watermark', watermark)
      this.#next.watermark(watermark)
      this.#dead.watermark(watermark)
    }
    // After the watermark, which would end the idleness.
    if (isIdle && !this.#isIdle) this.#sendIdle(true)
  }

  #sendIdle(isIdle: boolean): void {
    this.#isIdle = isIdle
    this.#next.idle(isIdle)
    this.#dead.idle(isIdle)
  }
}

function describe(value: unknown): string {
  return typeof value === 'number' ? String(value) : value === null ? 'null' : typeof value
}

function safeIso(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : 'beyond any date'
}
