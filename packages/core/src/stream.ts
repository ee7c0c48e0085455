/**
 * The words in which a flow is described. A stream wraps a node of the graph and says what may follow; nothing here runs
 * on the data path. Stages are the grammar: windows exist only after keyBy (or as windowAll), event time cannot be left
 * out of a source, stateful steps, sources and sinks have names.
 */
import type { Key } from './batch/key.ts'
import type { Sink } from './connector.ts'
import {
  type Edge,
  edge,
  type Graph,
  type GraphNode,
  type InlineOp,
  type OnError,
  type Partitioning,
} from './graph/node.ts'
import { type AsOfInput, asOf } from './operators/as-of.ts'
import type { AsOfJoinOptions, AsOfSides, FusedRow, SideNames } from './operators/as-of-types.ts'
import { type AsyncLookupOptions, asyncLookup, type Looked, type LookupFn } from './operators/async-lookup.ts'
import { type BranchRows, type BranchTests, branch } from './operators/branch.ts'
import { type BroadcastFunctions, broadcast } from './operators/broadcast.ts'
import { type DebounceOptions, debounce } from './operators/debounce.ts'
import { type DedupeOptions, dedupe } from './operators/dedupe.ts'
import { intervalJoin, type Within } from './operators/join-interval.ts'
import type { JoinedRow, JoinType, WindowJoinedRow } from './operators/join-types.ts'
import { type JoinWindow, windowJoin } from './operators/join-window.ts'
import { mapAsync } from './operators/map-async.ts'
import type { AsyncFn, MapAsyncOptions } from './operators/map-async-types.ts'
import { process, process2 } from './operators/process.ts'
import type {
  ProcessHandlers,
  ProcessHandlers2,
  ProcessOptions,
  ProcessSetup,
  SideRows,
} from './operators/process-types.ts'
import { type SampleOptions, sample } from './operators/sample.ts'
import { nodeOptions, type StepOptions } from './operators/step-options.ts'
import { toTable } from './operators/table.ts'
import { joinTable } from './operators/table-join.ts'
import { type ThrottleOptions, throttle } from './operators/throttle.ts'
import { type Ranked, type TopNOptions, topN } from './operators/top-n.ts'
import { windowAggregate, windowApply } from './operators/window-aggregate.ts'
import type {
  AggregateShape,
  ReservedNames,
  WindowAllRow,
  WindowAllValue,
  WindowOptions,
  WindowRow,
  WindowSpec,
  WindowValue,
} from './window/types.ts'

/** Options of steps without state and name. */
export interface InlineOptions {
  /** What happens to a record for which the function throws; default: the flow fails. */
  readonly onError?: OnError
}

/** Where a stream comes from: a node and one of its outputs. */
export class Stream<T> {
  readonly graph: Graph
  readonly node: GraphNode
  readonly outputName: string
  /** Only for type inference; never set. */
  declare readonly _row?: T

  constructor(graph: Graph, node: GraphNode, outputName = 'out') {
    this.graph = graph
    this.node = node
    this.outputName = outputName
  }

  /**
   * One row for each row. The function must not wait: use `mapAsync` for calls.
   */
  map<U>(fn: (row: T) => U, options: InlineOptions = {}): Stream<U> {
    return new Stream(this.graph, this.inline('map', fn, options))
  }

  /** Rows for which `fn` returns true. A type predicate narrows the row type. */
  filter<S extends T>(fn: (row: T) => row is S, options?: InlineOptions): Stream<S>
  filter(fn: (row: T) => boolean, options?: InlineOptions): Stream<T>
  filter(fn: (row: T) => boolean, options: InlineOptions = {}): Stream<T> {
    return new Stream(this.graph, this.inline('filter', fn, options))
  }

  /** Any number of rows for each row. */
  flatMap<U>(fn: (row: T) => Iterable<U>, options: InlineOptions = {}): Stream<U> {
    return new Stream(this.graph, this.inline('flatMap', fn, options))
  }

  /** Gives rows another event time, ms since the epoch. It should not lie before the watermark: such rows count as late. */
  withTime(fn: (row: T) => number, options: InlineOptions = {}): Stream<T> {
    return new Stream(this.graph, this.inline('timestamp', fn, options))
  }

  /** Groups rows by key, for everything that keeps state per key. */
  keyBy<K extends Key>(fn: (row: T) => K, options: InlineOptions = {}): KeyedStream<K, T> {
    return new KeyedStream(this.graph, this.inline('keyBy', fn, options))
  }

  /** Rows of this stream and the others, as they come. */
  union(...others: readonly Stream<T>[]): Stream<T> {
    const inputs = [this.edge(), ...others.map((other) => other.edge())]
    return new Stream(this.graph, this.graph.add({ kind: 'union', inputs, spec: { type: 'union' } }))
  }

  /**
   * Several streams by test; each record goes to the first whose test it passes. `rest: true` takes what is left;
   * without it the rest is dropped and counted `filtered`.
   *
   *   const { hot, cold } = readings.branch({ hot: (r) => r.value > 30, cold: (r) => r.value < 0 })
   */
  branch<const Tests extends BranchTests<T>>(
    tests: Tests,
    options: InlineOptions = {},
  ): { readonly [N in keyof Tests]: Stream<BranchRows<T, Tests>[N]> } {
    const node = branch<T>(this.graph, { input: this.edge(), tests, ...options })
    const streams = Object.keys(tests).map((name) => [name, new Stream(this.graph, node, name)])
    return Object.fromEntries(streams) as { [N in keyof Tests]: Stream<BranchRows<T, Tests>[N]> }
  }

  /**
   * Calls a function that takes its time, several calls at once. Commits do not wait for calls: what is in flight is part
   * of the state, and is called again after a restart with the same `ctx.id`.
   */
  mapAsync<U>(name: string, fn: AsyncFn<T, U>, options: MapAsyncOptions<T, U> = {}): Stream<U> {
    return new Stream(this.graph, mapAsync<T, U>(this.graph, { ...options, name, input: this.edge(), fn }))
  }

  /** Adds to each row what a service answers for it: `{ left, right }`. See `mapAsync`. */
  asyncLookup<V, K extends Key>(
    name: string,
    fn: LookupFn<K, V>,
    options: AsyncLookupOptions<T, V, K> & { readonly by: (row: T) => K },
  ): Stream<Looked<T, V>> {
    return new Stream(this.graph, asyncLookup<T, V, K>(this.graph, { ...options, name, input: this.edge(), fn }))
  }

  /** Drops records that came before, by an id of theirs, within a span of event time. */
  dedupe(name: string, options: DedupeOptions<T>): StepStream<T, { late: T }> {
    return new StepStream(this.graph, dedupe<T>(this.graph, { ...options, name, input: this.edge() }))
  }

  /** The n largest (or smallest) rows so far, as changes: `{ rank, row }` with weight +1 and -1. */
  topN(name: string, options: TopNOptions<T>): Stream<Ranked<T>> {
    return new Stream(this.graph, topN<T>(this.graph, { ...options, name, input: this.edge() }))
  }

  /** At most `limit` records per span of time; the others are dropped and counted. */
  throttle(name: string, options: ThrottleOptions): Stream<T> {
    return new Stream(this.graph, throttle(this.graph, { ...options, name, input: this.edge() }))
  }

  /** The last record before each quiet gap. */
  debounce(name: string, options: DebounceOptions): StepStream<T, { late: T }> {
    return new StepStream(this.graph, debounce(this.graph, { ...options, name, input: this.edge() }))
  }

  /** Some of the records: every nth, a share of them, or the latest per interval. */
  sample(name: string, options: SampleOptions<T>): StepStream<T, { late: T }> {
    return new StepStream(this.graph, sample<T>(this.graph, { ...options, name, input: this.edge() }))
  }

  /** Windows over the whole stream: one key, so one worker. */
  windowAll(window: WindowSpec, options: WindowOptions<T> = {}): WindowedAllStream<T> {
    return new WindowedAllStream(this, window, options)
  }

  /**
   * Joins every row with a state that a small stream builds up; every worker gets all of the small stream.
   *
   *   rows.withBroadcast('limits', limits, { initial: () => ({}), update: (all, l) => ({ ...all, [l.id]: l }), join: (r, all) => all[r.id] })
   */
  withBroadcast<R, S, U>(
    name: string,
    small: Stream<R>,
    functions: BroadcastFunctions<T, R, S, U>,
    options: StepOptions = {},
  ): StepStream<U, { late: T | R }> {
    const main = this.edge(this instanceof KeyedStream ? 'key' : 'forward')
    const edges = { main, small: small.edge('broadcast') }
    return new StepStream(
      this.graph,
      broadcast(this.graph, { ...options, name, ...edges, functions: functions as never }),
    )
  }

  /** The way to put several steps under one word: `stream.apply(cleaned)`. */
  apply<R>(fn: (stream: this) => R): R {
    return fn(this)
  }

  /** A step of your own, over the whole stream on one worker. See `KeyedStream.process` for state per key. */
  process<Out, Sides extends SideRows = SideRows>(
    name: string,
    create: (setup: ProcessSetup) => ProcessHandlers<T, Out, never, Sides>,
    options: ProcessOptions<Sides> = {},
  ): StepStream<Out, Sides> {
    const spec = { ...options, name, input: this.edge('single'), create: create as never }
    return new StepStream(this.graph, process<T, Out, never, Sides>(this.graph, spec))
  }

  /** Writes every row. A flow may have any number of sinks. */
  sink(name: string, sink: Sink<T>, options: Omit<StepOptions, 'onError'> = {}): void {
    this.graph.add({
      kind: 'sink',
      name,
      inputs: [this.edge(sink.isSingle === true ? 'single' : 'forward')],
      spec: { type: 'sink', sink: sink as Sink<unknown> },
      ...nodeOptions(options),
    })
  }

  /** An edge of the graph from this stream. For authors of operators. */
  edge(partitioning: Partitioning = 'forward'): Edge {
    return edge(this.node, partitioning, this.outputName)
  }

  protected inline(op: InlineOp, fn: (row: T) => unknown, options: InlineOptions): GraphNode {
    return this.graph.add({
      kind: op,
      inputs: [this.edge()],
      spec: { type: 'inline', op, fn },
      ...nodeOptions(options),
    })
  }
}

/** A stream with side outputs, by name. */
export class StepStream<T, Sides extends SideRows> extends Stream<T> {
  /** Rows of a side output, such as 'late' or 'unmatched'. They are counted also when nobody reads them. */
  output<N extends keyof Sides & string>(name: N): Stream<Sides[N]> {
    return new Stream(this.graph, this.node, name)
  }
}

/** A stream grouped by key. */
export class KeyedStream<K, T> extends Stream<T> {
  /** Only for type inference; never set. */
  declare readonly _key?: K

  override filter<S extends T>(fn: (row: T) => row is S, options?: InlineOptions): KeyedStream<K, S>
  override filter(fn: (row: T) => boolean, options?: InlineOptions): KeyedStream<K, T>
  override filter(fn: (row: T) => boolean, options: InlineOptions = {}): KeyedStream<K, T> {
    return new KeyedStream(this.graph, this.inline('filter', fn, options))
  }

  override withTime(fn: (row: T) => number, options: InlineOptions = {}): KeyedStream<K, T> {
    return new KeyedStream(this.graph, this.inline('timestamp', fn, options))
  }

  /** A step of your own with state and timers per key. Runs `create` once per worker. */
  override process<Out, Sides extends SideRows = SideRows>(
    name: string,
    create: (setup: ProcessSetup) => ProcessHandlers<T, Out, K, Sides>,
    options: ProcessOptions<Sides> = {},
  ): StepStream<Out, Sides> {
    const spec = { ...options, name, input: this.edge('key'), create }
    return new StepStream(this.graph, process<T, Out, K, Sides>(this.graph, spec))
  }

  /** A step of your own over two streams keyed alike: the records of one key meet in one state. */
  processWith<U, Out, Sides extends SideRows = SideRows>(
    name: string,
    other: KeyedStream<K, U>,
    create: (setup: ProcessSetup) => ProcessHandlers2<T, U, Out, K, Sides>,
    options: ProcessOptions<Sides> = {},
  ): StepStream<Out, Sides> {
    const inputs = [this.edge('key'), other.edge('key')] as const
    return new StepStream(this.graph, process2<T, U, Out, K, Sides>(this.graph, { ...options, name, inputs, create }))
  }

  /**
   * Pairs rows of two streams keyed alike: those within an interval of event time (`within: ['1s', '2s']`: from 1 s before
   * the left row to 2 s after), or those of one window.
   */
  join<R, J extends JoinType = 'inner'>(
    name: string,
    right: KeyedStream<K, R>,
    options: { readonly within: Within; readonly type?: J } & Omit<StepOptions, 'onError'>,
  ): StepStream<JoinedRow<K, T, R, J>, { late: T | R }>
  join<R, J extends JoinType = 'inner'>(
    name: string,
    right: KeyedStream<K, R>,
    options: { readonly window: JoinWindow; readonly type?: J } & Omit<StepOptions, 'onError'>,
  ): StepStream<WindowJoinedRow<K, T, R, J>, { late: T | R }>
  join(
    name: string,
    right: KeyedStream<K, unknown>,
    options: { readonly within?: Within; readonly window?: JoinWindow; readonly type?: JoinType } & Omit<
      StepOptions,
      'onError'
    >,
  ): unknown {
    const sides = { ...options, name, left: this.edge('key'), right: right.edge('key') }
    const node =
      options.window === undefined
        ? intervalJoin(this.graph, { ...sides, within: options.within as Within })
        : windowJoin(this.graph, { ...sides, window: options.window })
    return new StepStream(this.graph, node)
  }

  /**
   * For each row, the latest row of each side at or before its time and within a tolerance. Deterministic by default; a
   * duration as `wait` bounds the delay instead.
   */
  asOf<const S extends AsOfSides<K>>(
    name: string,
    sides: S & SideNames,
    options: AsOfJoinOptions & Omit<StepOptions, 'onError'> = {},
  ): StepStream<FusedRow<K, T, S>, { unmatched: T; late: unknown }> {
    const inputs = Object.entries(sides).map(([side, { stream, ...rest }]): [string, AsOfInput] => {
      return [side, { ...rest, edge: (stream as unknown as Stream<unknown>).edge('key') }]
    })
    const node = asOf(this.graph, { ...options, name, left: this.edge('key'), sides: Object.fromEntries(inputs) })
    return new StepStream(this.graph, node)
  }

  /** The latest row per key, as a table that other streams can be joined with. */
  toTable(name: string, options: { readonly isDeleted?: (row: T) => boolean } & StepOptions = {}): TableStream<K, T> {
    return new TableStream(this.graph, toTable(this.graph, { ...options, name, input: this.edge('key') }))
  }

  /** Adds to each row what a table holds for its key at the row's time: `{ key, left, right }`. */
  joinTable<R, J extends 'inner' | 'left' = 'inner'>(
    name: string,
    table: TableStream<K, R>,
    options: { readonly type?: J; readonly now?: boolean } & StepOptions = {},
  ): StepStream<JoinedRow<K, T, R, J>, { unmatched: T; late: T | R }> {
    const edges = { stream: this.edge('key'), table: table.edge('key') }
    return new StepStream(this.graph, joinTable(this.graph, { ...options, name, ...edges }))
  }

  /** Groups rows of a key by time or number; `aggregate` says what to make of them. */
  window(window: WindowSpec, options: WindowOptions<T> = {}): WindowedStream<K, T> {
    return new WindowedStream(this, window, options)
  }

  override mapAsync<U>(name: string, fn: AsyncFn<T, U, K>, options: MapAsyncOptions<T, U> = {}): KeyedStream<K, U> {
    const input = this.edge('key')
    return new KeyedStream(this.graph, mapAsync<T, U, K>(this.graph, { ...options, name, input, fn }))
  }

  override asyncLookup<V, L extends Key = K & Key>(
    name: string,
    fn: LookupFn<L, V>,
    options: AsyncLookupOptions<T, V, L> = {},
  ): Stream<Looked<T, V>> {
    return new Stream(this.graph, asyncLookup<T, V, L>(this.graph, { ...options, name, input: this.edge('key'), fn }))
  }

  override dedupe(name: string, options: DedupeOptions<T>): KeyedStepStream<K, T, { late: T }> {
    return new KeyedStepStream(this.graph, dedupe<T>(this.graph, { ...options, name, input: this.edge('key') }))
  }

  override topN(name: string, options: TopNOptions<T>): KeyedStream<K, Ranked<T>> {
    return new KeyedStream(this.graph, topN<T>(this.graph, { ...options, name, input: this.edge('key') }))
  }

  override throttle(name: string, options: ThrottleOptions): KeyedStream<K, T> {
    return new KeyedStream(this.graph, throttle(this.graph, { ...options, name, input: this.edge('key') }))
  }

  override debounce(name: string, options: DebounceOptions): StepStream<T, { late: T }> {
    return new StepStream(this.graph, debounce(this.graph, { ...options, name, input: this.edge('key') }))
  }

  override sample(name: string, options: SampleOptions<T>): StepStream<T, { late: T }> {
    return new StepStream(this.graph, sample<T>(this.graph, { ...options, name, input: this.edge('key') }))
  }
}

/** A keyed stream with side outputs. */
export class KeyedStepStream<K, T, Sides extends SideRows> extends KeyedStream<K, T> {
  /** Rows of a side output. They are counted also when nobody reads them. */
  output<N extends keyof Sides & string>(name: N): Stream<Sides[N]> {
    return new Stream(this.graph, this.node, name)
  }
}

/** Changes of a table, keyed: what `toTable` gives and `joinTable` takes. */
export class TableStream<K, T> extends KeyedStream<K, T> {
  /** Keeps streams that are no tables from being taken for one. */
  readonly isTable = true
}

/** Windows of a keyed stream. */
export class WindowedStream<K, T> {
  readonly #stream: KeyedStream<K, T>
  readonly #window: WindowSpec
  // Not WindowOptions<T>: a private field counts for variance, and a stream of cats is a stream of animals.
  readonly #options: WindowOptions<never>

  constructor(stream: KeyedStream<K, T>, window: WindowSpec, options: WindowOptions<T>) {
    this.#stream = stream
    this.#window = window
    this.#options = options as WindowOptions<never>
  }

  /**
   * One row per key and window: `{ key, window: { start, end }, ...aggregates }`, or `{ key, window, value }` for a plain
   * function of the window's rows.
   */
  aggregate<const A extends AggregateShape<T>>(
    name: string,
    aggregates: A & ReservedNames & AggregateShape<T>,
    options?: StepOptions,
  ): StepStream<WindowRow<K, A>, { late: T }>
  aggregate<V>(
    name: string,
    fn: (rows: readonly T[]) => V,
    options?: StepOptions,
  ): StepStream<WindowValue<K, V>, { late: T }>
  aggregate(
    name: string,
    what: AggregateShape<T> | ((rows: readonly T[]) => unknown),
    options: StepOptions = {},
  ): unknown {
    return addWindow(this.#stream, 'key', this.#window, this.#options, name, what, options)
  }
}

/** Windows of a whole stream. */
export class WindowedAllStream<T> {
  readonly #stream: Stream<T>
  readonly #window: WindowSpec
  readonly #options: WindowOptions<never>

  constructor(stream: Stream<T>, window: WindowSpec, options: WindowOptions<T>) {
    this.#stream = stream
    this.#window = window
    this.#options = options as WindowOptions<never>
  }

  /** One row per window, like `WindowedStream.aggregate` without the key. */
  aggregate<const A extends AggregateShape<T>>(
    name: string,
    aggregates: A & ReservedNames & AggregateShape<T>,
    options?: StepOptions,
  ): StepStream<WindowAllRow<A>, { late: T }>
  aggregate<V>(
    name: string,
    fn: (rows: readonly T[]) => V,
    options?: StepOptions,
  ): StepStream<WindowAllValue<V>, { late: T }>
  aggregate(
    name: string,
    what: AggregateShape<T> | ((rows: readonly T[]) => unknown),
    options: StepOptions = {},
  ): unknown {
    return addWindow(this.#stream, 'single', this.#window, this.#options, name, what, options)
  }
}

function addWindow<T>(
  stream: Stream<T>,
  partitioning: 'key' | 'single',
  window: WindowSpec,
  windowOptions: WindowOptions<never>,
  name: string,
  what: AggregateShape<T> | ((rows: readonly T[]) => unknown),
  options: StepOptions,
): StepStream<never, { late: T }> {
  const { lateTo, ...rest } = windowOptions
  const step = { ...options, ...rest, name, input: stream.edge(partitioning), window }
  const node =
    typeof what === 'function'
      ? windowApply(stream.graph, { ...step, apply: what as (rows: readonly never[]) => unknown })
      : windowAggregate(stream.graph, { ...step, aggregates: what })
  const out = new StepStream<never, { late: T }>(stream.graph, node)
  if (lateTo !== undefined) out.output('late').sink(`${name} late`, lateTo as Sink<unknown>)
  return out
}
