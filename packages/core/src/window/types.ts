/**
 * The types of windowing: what a window is, how a step is configured, what an aggregate is, and what comes out.
 * The Stream classes use AggregateShape, ReservedNames, WindowRow and WindowValue to type `.aggregate`.
 */
import type { Key } from '../batch/key.ts'
import type { Sink } from '../connector.ts'
import type { Buffer } from '../graph/node.ts'
import type { Duration } from '../time/duration.ts'
import type { NumericKind } from './numeric.ts'

/** 'arrival': as rows come from their partition. 'eventTime': by time, source, partition and offset. */
export type RowOrder = 'arrival' | 'eventTime'

/** Tumbling and hopping windows `[k * slideMs, k * slideMs + sizeMs)`, shifted by the option `offset`. */
export interface TimeWindow {
  readonly type: 'time'
  readonly sizeMs: number
  readonly slideMs: number
  readonly buffer?: Buffer
}

/** One window per record: the rows of its key with a time in `(time - sizeMs, time]`. */
export interface SlidingWindow {
  readonly type: 'sliding'
  readonly sizeMs: number
}

/** Rows of a key less than `gapMs` apart; 'touching' also joins sessions exactly `gapMs` apart. */
export interface SessionWindow {
  readonly type: 'session'
  readonly gapMs: number
  readonly merge: 'apart' | 'touching'
}

/** Windows of `size` consecutive rows of a key, a new one every `slide` rows. */
export interface CountWindow {
  readonly type: 'count'
  readonly size: number
  readonly slide: number
  readonly order: RowOrder
  readonly buffer?: Buffer
}

/** All rows of a key; results come when the trigger says so. */
export interface GlobalWindow {
  readonly type: 'global'
  readonly trigger: Trigger
  /** What happens to the rows after a result: 'purge' starts anew, 'accumulate' keeps them. */
  readonly after: 'purge' | 'accumulate'
}

export type WindowSpec = TimeWindow | SlidingWindow | SessionWindow | CountWindow | GlobalWindow

/** When a global window gives a result. Every trigger also fires at the end of input for what has not come out. */
export type Trigger =
  | { readonly type: 'count'; readonly every: number }
  | { readonly type: 'time'; readonly everyMs: number }
  | { readonly type: 'end' }
  | { readonly type: 'when'; readonly test: (row: never) => boolean }

export interface WindowOptions<Row = never> {
  /** How long after its end a window still takes records and gives its result again, with `pane: 'late'`. Default 0. */
  readonly lateness?: Duration
  /** Where records go that come too late for every window they belong to. They are counted in any case. */
  readonly lateTo?: Sink<Row>
  /** Every so often in processing time, the windows that changed give a result so far, with `pane: 'early'`. */
  readonly early?: Duration
  /** Moves the windows: tumbling('1d') with offset '6h' starts at six o'clock. Below the slide. */
  readonly offset?: Duration
  /** IANA name: windows of whole hours or days follow this zone's calendar; a day may then have 23 or 25 hours. */
  readonly timeZone?: string
}

/** Start inclusive, end exclusive, ms since the epoch. */
export interface WindowBounds {
  readonly start: number
  readonly end: number
}

export type Pane = 'early' | 'onTime' | 'late'

/**
 * Turns the rows of a window into one value. Made by `count`, `sum`, ... and `aggregate({ ... })`; what is inside is
 * the engine's business.
 */
export interface Aggregate<In, Out> {
  /** What it computes, for the plan: 'mean'. */
  readonly kind: string
  readonly part: AggregatePart
  /** Only for type inference; never set. */
  readonly _in?: (row: In) => void
  /** Only for type inference; never set. */
  readonly _out?: () => Out
}

export type AggregatePart = NumericPart | ObjectPart

/** An aggregate whose accumulator is a few numbers: it lives in Float64 columns. */
export interface NumericPart {
  readonly type: 'numeric'
  readonly kind: NumericKind
  /** Undefined: the aggregate only counts rows. */
  readonly value: ((row: never) => unknown) | undefined
}

/** An aggregate whose accumulator is any value that state can hold. */
export interface ObjectPart {
  readonly type: 'object'
  /** True when `read` is given a row it may retain. */
  readonly retains: boolean
  /** What `add` gets; runs before any accumulator changes. Returns `badValue` for what the aggregate cannot take. */
  read(row: never): unknown
  create(): unknown
  /** May change and return `acc`. */
  add(acc: unknown, value: unknown, arrival: Arrival): unknown
  /** May change and return `into`; must neither change nor keep `from`. */
  merge?(into: unknown, from: unknown): unknown
  retract?(acc: unknown, value: unknown, arrival: Arrival): unknown
  result(acc: unknown): unknown
}

/** Returned by `ObjectPart.read` for a value the aggregate cannot take; `expects` completes "it must be ...". */
export class BadValue {
  readonly got: unknown
  readonly expects: string

  constructor(got: unknown, expects: string) {
    this.got = got
    this.expects = expects
  }
}

/** Where a row stands. One object is moved from row to row: copy what is kept. */
export interface Arrival {
  time: number
  /** Rises with each row the step takes. */
  sequence: number
  source: string
  partition: string
  at: number | string
}

/** `{ mean: mean(r => r.value), n: count() }` for rows of type Row. */
export type AggregateShape<Row> = { readonly [name: string]: Aggregate<Row, unknown> }

/** Names the result row needs for itself. Intersect the shape with it. */
export type ReservedNames = { readonly key?: never; readonly window?: never; readonly pane?: never }

export type AggregateOut<A> = A extends Aggregate<never, infer Out> ? Out : never

/** Flattens an intersection for editors. */
type Flat<T> = { [P in keyof T]: T[P] }

/** Result row of a keyed window: key, window, and a value per aggregate. */
export type WindowRow<K, A> = Flat<{ readonly key: K } & WindowAllRow<A>>

/** Result row of `windowAll`. `pane` is there only when `early` or `lateness` is set. */
export type WindowAllRow<A> = Flat<
  { readonly window: WindowBounds; readonly pane?: Pane } & { readonly [N in keyof A]: AggregateOut<A[N]> }
>

/** Result row of a plain function of the window's rows. */
export type WindowValue<K, Value> = {
  readonly key: K
  readonly window: WindowBounds
  readonly pane?: Pane
  readonly value: Value
}

/** Like WindowValue, of `windowAll`. */
export type WindowAllValue<Value> = Omit<WindowValue<Key, Value>, 'key'>
