/** What a user of `.process` sees: the setup, the handlers and their contexts. */
import type { Key } from '../batch/key.ts'
import type { StateOptions } from './state-entries.ts'
import type { ListState, MapState, ValueState } from './state-handles.ts'
import type { StepOptions } from './step-options.ts'

/** Rows of the side outputs, by name. */
export type SideRows = Readonly<Record<string, unknown>>

/** Given to `create`: declares the state of the step. */
export interface ProcessSetup {
  readonly step: string
  /** One value per key, with a default for keys that have none. An object given as default is copied for each key. */
  value<V>(name: string, options: StateOptions<V> & { readonly default: V }): ValueState<V>
  /** One value per key. */
  value<V>(name: string, options?: StateOptions<V>): ValueState<V | undefined>
  /** A list per key; appending costs the same however long it is. */
  list<V>(name: string, options?: StateOptions<V>): ListState<V>
  /** A map per key. */
  map<K extends Key, V>(name: string, options?: StateOptions<V>): MapState<K, V>
}

/** Timers of the key being handled. The same (time, tag) set twice is one timer; fractions of a ms are rounded up. */
export interface KeyTimers {
  /** Fires when the watermark is at least `time`; when it is already, right after the handler returns. */
  event(time: number, tag?: string): void
  /** Fires when the clock shows at least `time`. Needs `{ timed: true }`. */
  processing(time: number, tag?: string): void
  /** True when there was such a timer. */
  deleteEvent(time: number, tag?: string): boolean
  deleteProcessing(time: number, tag?: string): boolean
}

/** Valid until the handler returns; the same object is used again for the next record. */
export interface CallContext<O, K = unknown, S extends SideRows = SideRows> {
  /** Key of the record or timer; undefined on an un-keyed stream. */
  readonly key: K
  readonly watermark: number
  readonly timers: KeyTimers
  /** Processing time, ms since the epoch. Needs `{ timed: true }`. */
  now(): number
  /**
   * Emits a row. A `time` behind the watermark is allowed; steps that count late records will count it. Default: the
   * time of the record or event timer; for a processing timer, the watermark; in onEnd there is none.
   */
  emit(row: O, time?: number): void
  /** Emits a row to a side output named in the step's `outputs`. */
  output<N extends keyof S & string>(name: N, row: S[N], time?: number): void
}

export interface RecordContext<O, K = unknown, S extends SideRows = SideRows> extends CallContext<O, K, S> {
  /** Event time of the record. */
  readonly time: number
  /** -1 when the record takes an earlier one back. */
  readonly weight: 1 | -1
}

export interface TimerContext<O, K = unknown, S extends SideRows = SideRows> extends CallContext<O, K, S> {
  /** Time of an event timer; the watermark for a processing timer. */
  readonly time: number
}

export interface EndContext<O, K = unknown, S extends SideRows = SideRows>
  extends Omit<CallContext<O, K, S>, 'emit' | 'output' | 'timers'> {
  emit(row: O, time: number): void
  output<N extends keyof S & string>(name: N, row: S[N], time: number): void
}

export interface Timer {
  /** In ms; what it was set for, rounded up to a whole ms. */
  readonly time: number
  /** '' when it was set without one. */
  readonly tag: string
  readonly kind: 'event' | 'processing'
}

/** Handlers are synchronous: one that returns a promise fails with CALLBACK_RETURN. */
export interface ProcessHandlers<T, O, K = unknown, S extends SideRows = SideRows> {
  /** State written and rows emitted before it throws stay. */
  onRecord(row: T, ctx: RecordContext<O, K, S>): void
  onTimer?(timer: Timer, ctx: TimerContext<O, K, S>): void
  /** At the end of bounded input, after all timers: once for each key that has state; once on an un-keyed stream. */
  onEnd?(ctx: EndContext<O, K, S>): void
}

/** Handlers of a step over two keyed streams, whose records of one key meet in one state. */
export interface ProcessHandlers2<A, B, O, K = unknown, S extends SideRows = SideRows>
  extends ProcessHandlers<A, O, K, S> {
  /** A record of the second stream. */
  onRecord2(row: B, ctx: RecordContext<O, K, S>): void
}

export interface ProcessOptions<S extends SideRows = SideRows> extends StepOptions {
  /** Names of the side outputs. */
  readonly outputs?: readonly (keyof S & string)[]
  /** True: the step may use the clock (processing timers, now(), ttl in processing time); its output depends on it. */
  readonly timed?: boolean
}
