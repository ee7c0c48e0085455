/**
 * The description of a flow: nodes and edges, no behaviour. User code builds it, the planner reads it, the runtime
 * instantiates it. Operators take nodes and return nodes; the Stream classes only wrap them.
 */

import type { Sink, Source } from '../connector.ts'
import { UsageError } from '../errors.ts'
import type { Operator, OperatorContext } from './operator.ts'

/** How records reach a step's instances: where they are, by key, all to one instance, or all to every instance. */
export type Partitioning = 'forward' | 'key' | 'single' | 'broadcast'

export interface Edge {
  readonly from: GraphNode
  /** Output of `from`: 'out' or one of its side outputs. */
  readonly output: string
  readonly partitioning: Partitioning
}

export type FullPolicy = 'block' | 'drop-oldest' | 'drop-newest' | 'error'

/** The queue in front of a step. */
export interface Buffer {
  /** Capacity in records. */
  readonly capacity: number
  readonly whenFull: FullPolicy
}

export type ErrorPolicy =
  | { readonly type: 'fail' }
  | { readonly type: 'skip' }
  | { readonly type: 'dead-letter'; readonly sink: Sink<DeadLetter> }
  | { readonly type: 'retry'; readonly times: number; readonly delayMs: number; readonly otherwise: ErrorPolicy }

/** An error policy as the user writes it. */
export type OnError = 'fail' | 'skip' | ErrorPolicy

/** What a dead-letter sink receives. */
export interface DeadLetter {
  readonly step: string
  readonly code: string
  readonly message: string
  /** Source, partition and position of the record where known. */
  readonly origin: string | undefined
  readonly time: number | undefined
  readonly key: unknown
  /** The record, or the raw text where it could not be decoded. */
  readonly record: unknown
}

/** Does the step give the same output for the same input, whatever the arrival and the clock? */
export type Determinism = 'deterministic' | 'timed'

// biome-ignore lint/suspicious/noExplicitAny: user callbacks of any row type meet here; the Stream types check them
export type AnyFn = (...args: any[]) => any

/** Steps without state that a fused loop runs in place. */
export type InlineOp = 'map' | 'filter' | 'flatMap' | 'keyBy' | 'timestamp'

export type NodeSpec =
  | { readonly type: 'source'; readonly source: Source<unknown>; readonly options: SourceSettings }
  | { readonly type: 'inline'; readonly op: InlineOp; readonly fn: AnyFn }
  | {
      readonly type: 'operator'
      readonly create: (ctx: OperatorContext) => Operator
      /** Side outputs beside 'out'. */
      readonly outputs?: readonly string[]
      /** True when the output keeps the keys of the input, so that no exchange is needed before the next keyed step. */
      readonly keepsKeys?: boolean
      /**
       * 'makes': it takes rows back that it emitted (weight -1). 'keeps': rows leave with the weights they had in the first
       * input. Neither: no row is taken back behind it.
       */
      readonly changes?: 'makes' | 'keeps'
      /** True for operators that wait for something outside (calls): they get a queue in front. */
      readonly isAsync?: boolean
      /** Parameters shown by `plan` and compared at restore: window sizes, tolerances, versions. */
      readonly describe?: Readonly<Record<string, unknown>>
      /** Combines partial results before a shuffle; made by aggregates with `merge`. */
      readonly preAggregate?: (ctx: OperatorContext) => Operator
    }
  | { readonly type: 'sink'; readonly sink: Sink<unknown> }
  /** Several inputs, one output, no behaviour. */
  | { readonly type: 'union' }

/** Times of a source, checked and in ms. */
export interface SourceSettings {
  readonly time: ((row: unknown) => number) | 'processing'
  readonly disorderMs: number
  /** Undefined: the source never counts as idle. */
  readonly idleAfterMs: number | undefined
  /** Partitions further ahead than this of the slowest active one wait. */
  readonly alignMs: number
  readonly maxFutureMs: number
  readonly from?: unknown
  readonly until?: unknown
}

export interface GraphNode {
  readonly id: number
  /** Unique among named nodes; 'map#3' for nodes the user did not name. */
  readonly name: string
  readonly isNamed: boolean
  /** What `plan` shows: 'source', 'map', 'window', 'asOf', 'sink', ... */
  readonly kind: string
  readonly inputs: readonly Edge[]
  readonly spec: NodeSpec
  readonly determinism: Determinism
  readonly onError: ErrorPolicy
  /** Names this step had in earlier versions of the flow: its state is found under them. */
  readonly renamedFrom: readonly string[]
  readonly buffer: Buffer | undefined
  /** 'file.ts:12' of the call that made it, for messages and the plan. */
  readonly at: string | undefined
}

export interface NodeOptions {
  readonly kind: string
  readonly name?: string
  readonly inputs: readonly Edge[]
  readonly spec: NodeSpec
  readonly determinism?: Determinism
  readonly onError?: OnError
  readonly renamedFrom?: string | readonly string[]
  readonly buffer?: Buffer
}

export class Graph {
  readonly name: string
  readonly nodes: GraphNode[] = []
  readonly #names = new Map<string, GraphNode>()

  constructor(name: string) {
    this.name = name
  }

  /** Adds a node. @throws UsageError `STEP_NAME` when the name is empty, unusable or taken */
  add(options: NodeOptions): GraphNode {
    const id = this.nodes.length
    const name = options.name ?? `${options.kind}#${id}`
    if (options.name !== undefined) checkStepName(options.name, options.kind)
    const taken = this.#names.get(name)
    const at = callSite()
    if (taken !== undefined) {
      throw new UsageError(
        'STEP_NAME',
        `two steps of flow "${this.name}" are called "${name}" (${taken.kind}${taken.at === undefined ? '' : ` at ${taken.at}`}, and ${options.kind}${at === undefined ? '' : ` at ${at}`}). State and metrics go by name: give one of them another.`,
        { step: name },
      )
    }
    if (options.spec.type === 'operator' && typeof options.onError === 'object' && options.onError.type === 'retry') {
      throw new UsageError(
        'RETRY_STATEFUL',
        `step "${name}" (${options.kind}) cannot retry: its function may have changed state or emitted before it failed. Retry in a map before it or in mapAsync, or give it 'skip' or a dead-letter sink.`,
        { step: name },
      )
    }
    const renamed = options.renamedFrom ?? []
    const node: GraphNode = {
      id,
      name,
      isNamed: options.name !== undefined,
      kind: options.kind,
      inputs: options.inputs,
      spec: options.spec,
      determinism: options.determinism ?? 'deterministic',
      onError: typeof options.onError === 'string' ? { type: options.onError } : (options.onError ?? { type: 'fail' }),
      renamedFrom: typeof renamed === 'string' ? [renamed] : renamed,
      buffer: options.buffer,
      at,
    }
    this.nodes.push(node)
    this.#names.set(name, node)
    return node
  }
}

/** A forward edge from the main output; what most steps have. */
export function edge(from: GraphNode, partitioning: Partitioning = 'forward', output = 'out'): Edge {
  return { from, output, partitioning }
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._ -]{0,79}$/

function checkStepName(name: unknown, kind: string): void {
  if (typeof name === 'string' && namePattern.test(name)) return
  throw new UsageError(
    'STEP_NAME',
    `a ${kind} step needs a name: 1 to 80 letters, digits, spaces, dots, dashes or underscores, starting with a letter or digit; got ${JSON.stringify(name) ?? 'nothing'}.`,
  )
}

const ownFolder = new URL('..', import.meta.url).href

/** First frame outside this package: 'app.ts:18'. */
export function callSite(): string | undefined {
  const frame = callerUrl()
  return frame === undefined ? undefined : `${frame.url.slice(frame.url.lastIndexOf('/') + 1)}:${frame.line}`
}

/** File and line of the first stack frame outside this package. */
export function callerUrl(): { url: string; line: number; isTopLevel: boolean } | undefined {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 24
  const stack = (new Error().stack ?? '').split('\n').slice(1)
  Error.stackTraceLimit = limit
  for (const [i, text] of stack.entries()) {
    const match = /^\s*at (?:(.+?) \()?((?:file:\/\/|\/).+?):(\d+):\d+\)?$/.exec(text)
    if (match === null) continue
    const url = match[2].startsWith('file:') ? match[2] : `file://${match[2]}`
    if (url.startsWith(ownFolder) && !/\.test\.ts$/.test(url)) continue
    return { url, line: Number(match[3]), isTopLevel: match[1] === undefined && startsModules(stack[i + 1]) }
  }
  return undefined
}

/**
 * Does this frame run the bodies of modules? A function without a name looks like a module's body, but something else
 * called it: an array, a timer, a request handler, an `await` elsewhere.
 */
function startsModules(frame: string | undefined): boolean {
  if (frame === undefined) return true
  return /node:internal\/(modules|process\/task_queues)|\/node_modules\/(@?vitest|vite|vite-node|tsx|jiti)\//.test(
    frame,
  )
}
