/**
 * The bounded queue in front of a step, within one thread. Its capacity counts records.
 *
 * Invariants:
 *  Q1  Markers keep their place among the records and are never dropped for lack of room. Markers that follow each other
 *      without records between are joined where the last says it all: a watermark replaces watermarks and idleness.
 *  Q2  Under the drop policies and 'error' the queue never holds more than `capacity` records. Under 'block' `offer` keeps
 *      to it and `send` takes everything: the sender asked `hasRoom` before the call whose output it is.
 *  Q3  offered = taken + dropped + queued, exactly.
 * All operations are O(1) amortised, but for cutting a batch, which is O(rows of that batch).
 */
import type { Batch } from '../batch/batch.ts'
import { OperationalError } from '../errors.ts'
import type { FullPolicy } from '../graph/node.ts'
import type { Element } from './element.ts'

export interface QueueOptions {
  /** In records, at least 1. */
  readonly capacity: number
  readonly whenFull: FullPolicy
  /** The step it stands before, for messages. */
  readonly step: string
  readonly onDrop?: (records: number) => void
  /** Records of the same buffer that have left this queue for a ring; they count towards the capacity. */
  readonly elsewhere?: () => number
}

export class BoundedQueue {
  readonly capacity: number
  readonly whenFull: FullPolicy
  readonly #step: string
  readonly #onDrop: ((records: number) => void) | undefined
  readonly #elsewhere: () => number
  readonly #elements = new Circle(16)
  /** Markers whose records before them were dropped; they come out first. */
  readonly #front = new Circle(4)
  /** Records of the first batch that were dropped or taken. */
  #skip = 0
  #records = 0
  #dropped = 0

  constructor({ capacity, whenFull, step, onDrop, elsewhere = () => 0 }: QueueOptions) {
    this.capacity = capacity
    this.whenFull = whenFull
    this.#step = step
    this.#onDrop = onDrop
    this.#elsewhere = elsewhere
  }

  /** Records in the queue. */
  queued(): number {
    return this.#records
  }

  /** Records dropped so far. */
  get dropped(): number {
    return this.#dropped
  }

  /** False: do not start a call that may emit. Only a blocking queue says so. */
  hasRoom(): boolean {
    return this.whenFull !== 'block' || this.#records < this.capacity
  }

  /** Nothing ever waits outside this queue. */
  pump(): boolean {
    return false
  }

  /**
   * Takes the first rows of a batch and returns how many; the caller offers the rest again. Fewer than all only under
   * 'block'. @throws OperationalError `BUFFER_FULL` under 'error', taking nothing
   */
  offer(batch: Batch): number {
    const room = this.capacity - this.#records
    if (this.whenFull !== 'block' || batch.length <= room) {
      this.send({ type: 'batch', batch })
      return batch.length
    }
    if (room <= 0) return 0
    this.#add(range(batch, 0, room))
    return room
  }

  /** Takes an element whole, or what the policy leaves of it. @throws OperationalError `BUFFER_FULL` under 'error' */
  send(element: Element): void {
    if (element.type !== 'batch') {
      addMarker(this.#elements.size === 0 ? this.#front : this.#elements, element)
      return
    }
    const { batch } = element
    if (batch.length === 0) return
    const excess = this.#held() + batch.length - this.capacity
    if (excess <= 0 || this.whenFull === 'block') {
      this.#add(batch)
    } else if (this.whenFull === 'drop-newest') {
      if (excess < batch.length) this.#add(range(batch, 0, batch.length - excess))
      this.#drop(Math.min(excess, batch.length))
    } else if (this.whenFull === 'drop-oldest') {
      this.#add(batch)
      this.#dropOldest(excess)
    } else throw this.#full(batch.length)
  }

  /** The next element; undefined when there is none. Of a batch at most `most` records, and the rest with the next call. */
  take(most = Number.POSITIVE_INFINITY): Element | undefined {
    if (this.#front.size > 0) return this.#front.shift()
    const first = this.#elements.first()
    if (first?.type === 'batch' && first.batch.length - this.#skip > most) {
      const from = this.#skip
      this.#skip += most
      this.#records -= most
      return { type: 'batch', batch: range(first.batch, from, from + most) }
    }
    const element = this.#elements.shift()
    if (element === undefined || element.type !== 'batch') return element
    const skip = this.#skip
    this.#skip = 0
    this.#records -= element.batch.length - skip
    return skip === 0 ? element : { type: 'batch', batch: range(element.batch, skip, element.batch.length) }
  }

  #held(): number {
    return this.whenFull === 'block' ? this.#records : this.#records + this.#elsewhere()
  }

  #add(batch: Batch): void {
    this.#elements.push({ type: 'batch', batch })
    this.#records += batch.length
  }

  #drop(records: number): void {
    this.#dropped += records
    this.#onDrop?.(records)
  }

  #dropOldest(excess: number): void {
    this.#records -= excess
    for (let left = excess; left > 0; ) {
      const first = this.#elements.first() as Element
      if (first.type !== 'batch') {
        addMarker(this.#front, first)
        this.#elements.shift()
        continue
      }
      const here = first.batch.length - this.#skip
      if (here > left) {
        this.#skip += left
        break
      }
      left -= here
      this.#skip = 0
      this.#elements.shift()
    }
    this.#drop(excess)
  }

  #full(offered: number): OperationalError {
    return new OperationalError(
      'BUFFER_FULL',
      `the buffer before step "${this.#step}" holds ${this.#held()} of ${this.capacity} records and ${offered} more came. The step is slower than its input: give it a larger buffer, let it block (whenFull: 'block'), or drop ('drop-oldest', 'drop-newest').`,
      { step: this.#step, data: { capacity: this.capacity, queued: this.#held(), offered } },
    )
  }
}

/** Adds a marker; of the markers since the last records or barrier at most two stay. */
function addMarker(to: Circle, marker: Element): void {
  while (joinsLast(to.last(), marker)) to.pop()
  to.push(marker)
}

/** Does `marker` say everything that `last`, directly before it, says? A watermark also ends idleness. */
function joinsLast(last: Element | undefined, marker: Element): boolean {
  if (last === undefined) return false
  if (marker.type === 'watermark') return last.type === 'watermark' || last.type === 'idle'
  return marker.type === 'idle' && last.type === 'idle'
}

function range(batch: Batch, from: number, to: number): Batch {
  return batch.select(
    Int32Array.from({ length: to - from }, (_, j) => from + j),
    to - from,
  )
}

/** A queue in a circular array that doubles when it is full. */
class Circle {
  #items: (Element | undefined)[]
  #head = 0
  size = 0

  /** @param length a power of two */
  constructor(length: number) {
    this.#items = new Array(length).fill(undefined)
  }

  push(element: Element): void {
    if (this.size === this.#items.length) this.#grow()
    this.#items[(this.#head + this.size++) & (this.#items.length - 1)] = element
  }

  shift(): Element | undefined {
    if (this.size === 0) return undefined
    const element = this.#items[this.#head]
    this.#items[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#items.length - 1)
    this.size--
    return element
  }

  first(): Element | undefined {
    return this.size === 0 ? undefined : this.#items[this.#head]
  }

  last(): Element | undefined {
    return this.size === 0 ? undefined : this.#items[this.#lastIndex()]
  }

  pop(): void {
    this.#items[this.#lastIndex()] = undefined
    this.size--
  }

  #lastIndex(): number {
    return (this.#head + this.size - 1) & (this.#items.length - 1)
  }

  #grow(): void {
    const old = this.#items
    this.#items = new Array(old.length * 2).fill(undefined)
    for (let i = 0; i < this.size; i++) this.#items[i] = old[(this.#head + i) & (old.length - 1)]
    this.#head = 0
  }
}
