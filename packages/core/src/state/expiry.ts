/**
 * Expiry in slices: entries belong to buckets of an eighth of the ttl by the time they were last written, and whole
 * buckets expire. An entry leaves between ttl and ttl * 9/8 after its last write.
 *
 * Invariants:
 *  X1  A live cell is in the list of exactly one bucket: that of its first write, or of the last one known when that was
 *      due. A later write only notes the bucket in the cell; the cell moves when its list is due, once per ttl.
 *  X2  Removed cells stay in their lists, and are swept out when they are more than the live ones.
 */
import { Mark, type TimedCell } from './cells.ts'

const SLICES = 8
/** Fewer removed cells are not worth a sweep. */
const SWEEP_MIN = 1024

export class Expiry<V> {
  readonly #ttlMs: number
  readonly #widthMs: number
  readonly #buckets = new Map<number, TimedCell<V>[]>()
  /** Cells written before the table was told any time; they move as soon as it is. */
  #untimed: TimedCell<V>[] = []
  #newest = Number.NEGATIVE_INFINITY
  /** The first bucket that was known: buckets are counted from it, which keeps their numbers small. */
  #base = Number.NaN
  /** No list is due before this time. */
  #nextDue = Number.POSITIVE_INFINITY
  #listed = 0
  #removed = 0

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs
    this.#widthMs = Math.max(1, Math.ceil(ttlMs / SLICES))
  }

  /** Takes a new cell. */
  add(cell: TimedCell<V>, time: number | undefined): void {
    if (time !== undefined && time > this.#newest) this.#told(time)
    this.#list(cell, this.#bucketOf(time ?? this.#newest))
    this.#listed++
  }

  /** Records a write. Earlier times than the entry already has are ignored. */
  touch(cell: TimedCell<V>, time: number | undefined): void {
    if (time !== undefined && time > this.#newest) this.#told(time)
    const bucket = this.#bucketOf(time ?? this.#newest)
    if (bucket !== undefined && cell.bucket !== undefined && bucket > cell.bucket) cell.bucket = bucket
  }

  /** A cell was removed from its table otherwise than by expiry. */
  forget(): void {
    this.#removed++
    if (this.#removed > SWEEP_MIN && this.#removed * 2 > this.#listed) this.#sweep()
  }

  /** A time in the entry's bucket, NaN when it has none: what is stored with the entry. */
  timeOf(cell: TimedCell<V>): number {
    return cell.bucket === undefined ? Number.NaN : (cell.bucket + this.#base) * this.#widthMs
  }

  /** Visits what has expired at `now`, oldest bucket first; the visitor removes each. */
  expired(now: number, visit: (cell: TimedCell<V>) => void): void {
    if (now > this.#newest) this.#told(now)
    // Cells that move may make buckets that are due themselves.
    while (this.#nextDue <= now) {
      const due = [...this.#buckets.keys()].filter((bucket) => this.#dueAt(bucket) <= now).sort((a, b) => a - b)
      for (const bucket of due) this.#expire(bucket, visit)
      this.#nextDue = Number.POSITIVE_INFINITY
      for (const bucket of this.#buckets.keys()) this.#nextDue = Math.min(this.#nextDue, this.#dueAt(bucket))
    }
  }

  clear(): void {
    this.#buckets.clear()
    this.#untimed = []
    this.#nextDue = Number.POSITIVE_INFINITY
    this.#listed = 0
    this.#removed = 0
  }

  #expire(bucket: number, visit: (cell: TimedCell<V>) => void): void {
    const cells = this.#buckets.get(bucket) as TimedCell<V>[]
    this.#buckets.delete(bucket)
    for (const cell of cells) {
      if (isLive(cell) && cell.bucket !== bucket) {
        this.#list(cell, cell.bucket)
        continue
      }
      this.#listed--
      if (isLive(cell)) visit(cell)
      else if (this.#removed > 0) this.#removed--
    }
  }

  #bucketOf(time: number): number | undefined {
    if (time === Number.NEGATIVE_INFINITY) return undefined
    const bucket = Math.floor(time / this.#widthMs)
    if (Number.isNaN(this.#base)) this.#base = bucket
    return bucket - this.#base
  }

  #dueAt(bucket: number): number {
    return (bucket + this.#base + 1) * this.#widthMs + this.#ttlMs
  }

  #list(cell: TimedCell<V>, bucket: number | undefined): void {
    cell.bucket = bucket
    if (bucket === undefined) {
      this.#untimed.push(cell)
      return
    }
    const cells = this.#buckets.get(bucket)
    if (cells !== undefined) {
      cells.push(cell)
      return
    }
    this.#buckets.set(bucket, [cell])
    this.#nextDue = Math.min(this.#nextDue, this.#dueAt(bucket))
  }

  #told(time: number): void {
    this.#newest = time
    if (this.#untimed.length === 0) return
    const cells = this.#untimed
    this.#untimed = []
    const bucket = this.#bucketOf(time)
    for (const cell of cells) this.#list(cell, bucket)
  }

  #sweep(): void {
    this.#untimed = this.#untimed.filter(isLive)
    for (const [bucket, cells] of this.#buckets) {
      const live = cells.filter(isLive)
      if (live.length > 0) this.#buckets.set(bucket, live)
      else this.#buckets.delete(bucket)
    }
    this.#listed = this.#untimed.length
    for (const cells of this.#buckets.values()) this.#listed += cells.length
    this.#removed = 0
  }
}

function isLive(cell: TimedCell<unknown>): boolean {
  return cell.mark < Mark.deleted
}
