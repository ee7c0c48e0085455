/**
 * Timers per key, in event time and in processing time.
 *
 * Invariants:
 *  T1  A timer is (key, time, tag); setting it twice is setting it once.
 *  T2  An event timer T fires when the watermark is >= T, a processing timer when the clock is; in time order.
 *  T3  A timer set while firing up to W, for a time <= W, fires in the same call.
 *  T4  At the end of input (W = Infinity) timers fire up to the latest that was set before the end. Later ones, set
 *      while those fire, do not: a timer that sets its successor would never end.
 *  T5  The tables hold every timer: what is in memory beside them is rebuilt from them.
 *
 * One heap entry per distinct time and one set of keys per time: setting costs O(log distinct times), firing O(1) a timer.
 */
import type { CanonicalKey } from '../batch/key.ts'
import { UsageError } from '../errors.ts'
import type { OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { TimeHeap } from './time-heap.ts'

export type FireTimer = (key: CanonicalKey, time: number, tag: string) => void

/** A timer that sets itself again for the time it fires at would never end. */
const firingsOfOneTimeMax = 10_000
/** Tags of most timers, shared by them. */
const untagged: readonly string[] = Object.freeze([''])

/** Timers of one kind, over one table: time -> key -> tags. */
export class TimerQueue {
  readonly #table: Table<readonly string[]>
  readonly #times = new TimeHeap()
  /** Times that have an entry in the heap; a time whose timers were all deleted keeps it until it is reached. */
  readonly #known = new Set<number>()
  readonly #step: string
  #latest = Number.NEGATIVE_INFINITY

  constructor(table: Table<readonly string[]>, step: string) {
    this.#table = table
    this.#step = step
    for (const time of table.outers()) this.#know(time as number)
  }

  /** Number of keys with a timer, a key counted once for each of its times. */
  get size(): number {
    return this.#table.size
  }

  /** The earliest time that may have a timer; Infinity when there is none. */
  next(): number {
    return this.#times.earliest
  }

  /** @throws UsageError `TIMER_TIME` when the time is not a finite number. Fractions of a ms are rounded up. */
  set(key: CanonicalKey, time: number, tag = ''): void {
    const at = checkedTime(time, this.#step)
    const tags = this.#table.get(key, at)
    if (tags === undefined) this.#table.set(key, tag === '' ? untagged : [tag], at)
    else if (tags.includes(tag)) return
    else this.#table.set(key, [...tags, tag], at)
    this.#know(at)
  }

  /** True when there was such a timer. */
  delete(key: CanonicalKey, time: number, tag = ''): boolean {
    const at = checkedTime(time, this.#step)
    const tags = this.#table.get(key, at)
    if (tags === undefined || !tags.includes(tag)) return false
    if (tags.length === 1) this.#table.delete(key, at)
    else {
      this.#table.set(
        key,
        tags.filter((other) => other !== tag),
        at,
      )
    }
    return true
  }

  /** Fires every timer with time <= `until`. */
  fire(until: number, fire: FireTimer): void {
    const horizon = until === Number.POSITIVE_INFINITY ? this.#latest : until
    for (let time = this.next(); time <= horizon; time = this.next()) {
      this.#times.pop()
      this.#known.delete(time)
      this.#fireTime(time, fire)
    }
  }

  #fireTime(time: number, fire: FireTimer): void {
    // Until none is left: firing may set others for the same time.
    let fired: number
    do {
      fired = 0
      this.#table.forEachOf(time, (key) => {
        this.#fireKey(key, time, fire)
        fired++
      })
    } while (fired > 0)
  }

  #fireKey(key: CanonicalKey, time: number, fire: FireTimer): void {
    for (let fired = 0; ; fired++) {
      const tags = this.#table.get(key, time)
      if (tags === undefined) return
      if (fired === firingsOfOneTimeMax) throw timerLoop(time, tags[0], this.#step)
      if (tags.length === 1) this.#table.delete(key, time)
      else this.#table.set(key, tags.slice(1), time)
      fire(key, time, tags[0])
    }
  }

  #know(time: number): void {
    if (this.#known.has(time)) return
    this.#known.add(time)
    this.#times.push(time, 0)
    if (time > this.#latest) this.#latest = time
  }
}

/** Both kinds of timers of one step. The operator calls `watermark` and `wake` from its own. */
export class TimerService {
  readonly event: TimerQueue
  readonly processing: TimerQueue
  readonly #ctx: OperatorContext

  constructor(ctx: OperatorContext) {
    this.#ctx = ctx
    this.event = new TimerQueue(ctx.state.table('timers.event', { major: 'sub' }), ctx.step)
    this.processing = new TimerQueue(ctx.state.table('timers.processing', { major: 'sub' }), ctx.step)
    this.#askForWake()
  }

  /** Sets a processing-time timer and asks the runtime to wake the step for it. */
  setProcessing(key: CanonicalKey, time: number, tag = ''): void {
    this.processing.set(key, time, tag)
    this.#askForWake()
  }

  /** Fires the event timers that are due at `watermark`; call it before the watermark is forwarded. */
  watermark(watermark: number, fire: FireTimer): void {
    if (this.event.next() <= watermark) this.event.fire(watermark, fire)
  }

  /** Fires the processing timers that are due at `now`. */
  wake(now: number, fire: FireTimer): void {
    this.processing.fire(now, fire)
    this.#askForWake()
  }

  #askForWake(): void {
    const next = this.processing.next()
    if (next !== Number.POSITIVE_INFINITY) this.#ctx.wakeAt(next)
  }
}

function checkedTime(time: number, step: string): number {
  if (typeof time === 'number' && Number.isFinite(time)) return Math.ceil(time)
  throw new UsageError(
    'TIMER_TIME',
    `a timer was set for ${String(time)}; the time must be a finite number of ms since the epoch. For work at the end of input use onEnd.`,
    { step, data: { time: String(time) } },
  )
}

function timerLoop(time: number, tag: string, step: string): UsageError {
  return new UsageError(
    'TIMER_LOOP',
    `a timer${tag === '' ? '' : ` "${tag}"`} set for ${time} fired ${firingsOfOneTimeMax} times, because onTimer sets it again for the same time. Set the next one for a later time.`,
    { step, data: { time, tag } },
  )
}
