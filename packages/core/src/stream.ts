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
import { intervalJoin, type Within } from './operators/join-interval.ts'
import type { JoinedRow, JoinType, WindowJoinedRow } from './operators/join-types.ts'
import { type JoinWindow, windowJoin } from './operators/join-window.ts'
import { process, process2 } from './operators/process.ts'
import type {
  ProcessHandlers,
  ProcessHandlers2,
  ProcessOptions,
  ProcessSetup,
  SideRows,
} from './operators/process-types.ts'
import { nodeOptions, type StepOptions } from './operators/step-options.ts'

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
   * @example flow.source('n', arraySource([1, 2]), { time: 'processing' }).map(n => n * 2)
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
      inputs: [this.edge()],
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
  ): StepStream<never, { late: never }> {
    const sides = { ...options, name, left: this.edge('key'), right: right.edge('key') }
    const node =
      options.window === undefined
        ? intervalJoin(this.graph, { ...sides, within: options.within as Within })
        : windowJoin(this.graph, { ...sides, window: options.window })
    return new StepStream(this.graph, node)
  }
}
