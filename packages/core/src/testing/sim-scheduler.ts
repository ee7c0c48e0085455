/**
 * Virtual time: one queue of events that everything simulated shares. Timers, turns of the event loop and completions of
 * disk operations are events; the clock jumps from one to the next.
 *
 * Invariants:
 *  V1  Events run one at a time, in order of (time, seeded lot, number); all promise reactions of an event run before
 *      the next one. So a seed decides the whole run, and the same seed gives the same trace hash.
 *  V2  Every event is later than the one that scheduled it, so a loop that waits by `soon` lets time pass. In an exact
 *      scheduler events take no time and come in the order in which they were scheduled: for tests that tell the clock.
 *  V3  After `kill`, no event of that process runs.
 */
import type { Scheduler } from '../runtime/ports.ts'
import { type SeededRandom, seededRandom } from './sim-random.ts'

interface SimEvent {
  readonly timeMs: number
  readonly lot: number
  readonly number: number
  readonly label: string
  readonly process: SimProcess | undefined
  fn: (() => void) | undefined
}

export type RunEnd = 'done' | 'idle' | 'time' | 'events'

export class SimScheduler implements Scheduler {
  readonly #random: SeededRandom
  readonly #isExact: boolean
  readonly #heap: SimEvent[] = []
  #nowMs = 0
  #events = 0
  #number = 0
  #hash = 0x811c9dc5
  #thrown: { readonly error: unknown } | undefined

  constructor(seed: number, options: { readonly isExact?: boolean } = {}) {
    this.#random = seededRandom(seed).fork('scheduler')
    this.#isExact = options.isExact ?? false
  }

  /** Virtual time since the start, ms. */
  get nowMs(): number {
    return this.#nowMs
  }

  /** Events run so far. */
  get events(): number {
    return this.#events
  }

  /** Hash over time and label of every event that ran. */
  get traceHash(): number {
    return this.#hash
  }

  after(ms: number, fn: () => void): () => void {
    return this.schedule(ms, 'timer', fn)
  }

  soon(fn: () => void): void {
    this.schedule(0, 'soon', fn)
  }

  /** A group of events that can be killed together. */
  process(name: string): SimProcess {
    return new SimProcess(this, name)
  }

  /** Runs `fn` after `delayMs` and a little more (V2); the label goes into the trace. Returns a cancel function. */
  schedule(delayMs: number, label: string, fn: () => void, process?: SimProcess): () => void {
    const tickMs = this.#isExact ? 0 : 0.001 + this.#random.next() * 0.02
    const timeMs = this.#nowMs + Math.max(0, delayMs) + tickMs
    const lot = this.#isExact ? 0 : this.#random.next()
    const event: SimEvent = { timeMs, lot, number: this.#number++, label, process, fn }
    push(this.#heap, event)
    return () => {
      event.fn = undefined
    }
  }

  /**
   * Runs events until `isDone`, until nothing is scheduled, or until a limit.
   * @throws whatever an event throws
   */
  async run(
    isDone: () => boolean,
    limits: { readonly virtualMs?: number; readonly events?: number } = {},
  ): Promise<RunEnd> {
    const untilMs = this.#nowMs + (limits.virtualMs ?? Number.POSITIVE_INFINITY)
    const lastEvent = this.#events + (limits.events ?? Number.POSITIVE_INFINITY)
    for (;;) {
      await reactions()
      if (isDone()) return 'done'
      const next = this.#heap[0]
      if (next === undefined) return 'idle'
      if (next.timeMs > untilMs) {
        this.#nowMs = untilMs
        return 'time'
      }
      if (this.#events >= lastEvent) return 'events'
      this.#step()
      if (this.#thrown !== undefined) {
        const { error } = this.#thrown
        this.#thrown = undefined
        throw error
      }
    }
  }

  #step(): void {
    const event = pop(this.#heap)
    const { fn } = event
    if (fn === undefined || event.process?.isAlive === false) return
    this.#nowMs = event.timeMs
    this.#events++
    this.#note(`${event.timeMs} ${event.process?.name ?? ''} ${event.label}`)
    try {
      fn()
    } catch (error) {
      this.#thrown = { error }
    }
  }

  #note(text: string): void {
    let h = this.#hash
    for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
    this.#hash = h >>> 0
  }
}

/** The scheduler port of one simulated process or worker. */
export class SimProcess implements Scheduler {
  readonly name: string
  readonly scheduler: SimScheduler
  #isAlive = true

  constructor(scheduler: SimScheduler, name: string) {
    this.scheduler = scheduler
    this.name = name
  }

  get isAlive(): boolean {
    return this.#isAlive
  }

  after(ms: number, fn: () => void): () => void {
    return this.scheduler.schedule(ms, 'timer', fn, this)
  }

  soon(fn: () => void): void {
    this.scheduler.schedule(0, 'soon', fn, this)
  }

  schedule(delayMs: number, label: string, fn: () => void): () => void {
    return this.scheduler.schedule(delayMs, label, fn, this)
  }

  /** Nothing of this process runs any more; its promises stay open for ever. */
  kill(): void {
    this.#isAlive = false
  }
}

/** Lets every pending promise reaction run. */
function reactions(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  if (a.timeMs !== b.timeMs) return a.timeMs < b.timeMs
  return a.lot === b.lot ? a.number < b.number : a.lot < b.lot
}

function push(heap: SimEvent[], event: SimEvent): void {
  let i = heap.push(event) - 1
  while (i > 0) {
    const parent = (i - 1) >> 1
    if (!isBefore(event, heap[parent])) break
    heap[i] = heap[parent]
    i = parent
  }
  heap[i] = event
}

function pop(heap: SimEvent[]): SimEvent {
  const top = heap[0]
  const last = heap.pop() as SimEvent
  if (heap.length === 0) return top
  let i = 0
  for (;;) {
    let child = 2 * i + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && isBefore(heap[child + 1], heap[child])) child++
    if (!isBefore(heap[child], last)) break
    heap[i] = heap[child]
    i = child
  }
  heap[i] = last
  return top
}
