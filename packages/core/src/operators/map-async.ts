/**
 * mapAsync: calls an asynchronous function for each record, many at a time.
 *
 * Invariants:
 *  A1  At most `capacity` calls are in flight; the step takes no input while it holds `capacity` records or more, so it
 *      never holds more than that and one batch.
 *  A2  A barrier does not wait: calls in flight and results not emitted yet are in state. A restored call is made again
 *      with its id; a result in state is emitted without a call.
 *  A3  The watermark does not pass a record in flight that was not late on arrival.
 *  A4  User code ends elsewhere; what it gave is kept in `#settled` and handled in the next call of the operator.
 */
import { type Batch, describeOrigin } from '../batch/batch.ts'
import { OperationalError } from '../errors.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { formatMs } from '../time/duration.ts'
import { CallIds } from './call-ids.ts'
import { type EmissionOrder, emissionOrder } from './emission-order.ts'
import { instanceKey } from './instance-key.ts'
import { type AsyncSettings, asyncSettings, pauseMs } from './map-async-settings.ts'
import type { AsyncFn, CallContext, MapAsyncOptions } from './map-async-types.ts'
import { PendingCall, PendingCalls, type SavedCall } from './pending-calls.ts'
import { nodeOptions } from './step-options.ts'
import { isPromise, wrongReturn } from './user-function.ts'

export interface MapAsyncSpec<T, R, K> extends MapAsyncOptions<T, R> {
  readonly name: string
  readonly input: Edge
  readonly fn: AsyncFn<T, R, K>
}

/**
 * Adds a step that calls `fn` for each record and emits what it resolves to, with the record's time, key and weight.
 * Rows and results are kept in state while they wait, so both must be plain data.
 * @throws UsageError `MAP_ASYNC` when an option is out of its range, or order is 'perKey' on an un-keyed stream
 * @example
 * import { openOperator } from 'millrace/testing'
 * const host = openOperator(createMapAsync(async (n: number) => n * 2, { capacity: 4 }))
 * host.send([[1_000, 1], [2_000, 2]])
 * await host.settle()
 * host.take().map(out => out.row) // => [2, 4]
 */
export function mapAsync<T, R, K = unknown>(graph: Graph, spec: MapAsyncSpec<T, R, K>): GraphNode {
  return addAsyncNode(graph, 'mapAsync', spec, () => spec.fn)
}

/** `openFn` makes the function of one instance, which may keep something for itself, such as a cache. */
export function addAsyncNode<T, R, K>(
  graph: Graph,
  kind: string,
  spec: MapAsyncOptions<T, R> & { readonly name: string; readonly input: Edge },
  openFn: (ctx: OperatorContext) => AsyncFn<T, R, K>,
  determinism?: 'timed',
): GraphNode {
  const isKeyed = spec.input.partitioning === 'key'
  const settings = asyncSettings(spec, spec.name, isKeyed)
  const { capacity, order, timeoutMs, retry } = settings
  return graph.add({
    kind,
    name: spec.name,
    inputs: [spec.input],
    spec: {
      type: 'operator',
      create: (ctx) => new MapAsyncOperator(ctx, openFn(ctx) as AsyncFn<unknown, unknown>, settings, isKeyed),
      keepsKeys: isKeyed,
      changes: 'keeps',
      isAsync: true,
      describe: {
        order,
        capacity,
        timeout: formatMs(timeoutMs),
        ...(retry === undefined ? {} : { retries: retry.times }),
      },
    },
    determinism: determinism ?? (settings.isDeterministic ? 'deterministic' : 'timed'),
    ...nodeOptions({ ...spec, onError: settings.onError }),
  })
}

/** The operator alone, for tests and examples. */
export function createMapAsync<T, R, K = unknown>(
  fn: AsyncFn<T, R, K>,
  options: MapAsyncOptions<T, R> = {},
): (ctx: OperatorContext) => Operator {
  const settings = asyncSettings(options, 'mapAsync', true)
  return (ctx) => new MapAsyncOperator(ctx, fn as AsyncFn<unknown, unknown>, settings, true)
}

interface Settled {
  readonly call: PendingCall
  readonly attempt: number
  readonly isOk: boolean
  readonly value: unknown
}

class MapAsyncOperator implements Operator {
  readonly #ctx: OperatorContext
  readonly #fn: AsyncFn<unknown, unknown>
  readonly #settings: AsyncSettings
  readonly #isKeyed: boolean
  readonly #calls: PendingCalls
  readonly #order: EmissionOrder
  readonly #ids: CallIds
  readonly #counter: Table<number>
  readonly #address: ReturnType<typeof instanceKey>
  #sequence: number
  /** Calls not started yet, in order; those before `#nextWaiting` have been. */
  #waiting: PendingCall[] = []
  #nextWaiting = 0
  /** Calling or pausing: at most `capacity`. */
  readonly #active = new Set<PendingCall>()
  #settled: Settled[] = []
  /** The earliest `dueMs` asked for. */
  #alarmMs = Number.POSITIVE_INFINITY
  #lastFinite: number
  #wasReady = true
  #isClosed = false

  constructor(ctx: OperatorContext, fn: AsyncFn<unknown, unknown>, settings: AsyncSettings, isKeyed: boolean) {
    this.#ctx = ctx
    this.#isKeyed = isKeyed
    this.#fn = fn
    this.#settings = settings
    this.#address = instanceKey(ctx.instance)
    this.#ids = new CallIds(ctx.step, String(this.#address))
    this.#order = emissionOrder(settings.order)
    this.#lastFinite = ctx.currentWatermark()
    this.#calls = new PendingCalls(ctx.state.table<SavedCall>('calls'))
    this.#counter = ctx.state.table<number>('calls.next')
    const restored = this.#calls.load()
    // Calls that came from another instance may have higher numbers than this one has given.
    this.#sequence = Math.max(this.#counter.get(this.#address) ?? 0, (restored.at(-1)?.sequence ?? -1) + 1)
    for (const call of restored) {
      this.#order.add(call)
      if (call.phase === 'waiting') this.#waiting.push(call)
    }
    if (restored.length > 0) {
      this.#wasReady = this.isReady()
      ctx.requestWake()
    }
  }

  process(batch: Batch): void {
    const watermark = this.#ctx.currentWatermark()
    // An un-keyed stream may carry the keys of a step before; they do not say which instance has a record.
    const keys = this.#isKeyed ? batch.keys : undefined
    for (let i = 0; i < batch.length; i++) {
      const sequence = this.#sequence++
      const call = new PendingCall(sequence, keys?.[i] ?? this.#address, {
        id: this.#ids.next(batch, i, sequence),
        row: batch.keep(i),
        time: batch.times[i],
        weight: (batch.weights?.[i] ?? 1) as 1 | -1,
        isKeyed: keys !== undefined,
        origin: describeOrigin(batch.origin, i),
        attempt: 1,
        isLate: batch.times[i] < watermark,
      })
      this.#calls.add(call)
      this.#order.add(call)
      this.#waiting.push(call)
    }
    this.#proceed()
  }

  watermark(time: number): void {
    if (time !== Number.POSITIVE_INFINITY) this.#lastFinite = time
  }

  wake(now: number): void {
    this.#handleSettled()
    if (now >= this.#alarmMs) this.#handleDue(now)
    this.#proceed()
  }

  hold(): number {
    if (this.#calls.size === 0) return Number.POSITIVE_INFINITY
    // Late records do not hold the watermark back, but the end of input does not overtake them either.
    return Math.min(this.#calls.earliest(), this.#lastFinite)
  }

  isReady(): boolean {
    return this.#calls.size < this.#settings.capacity
  }

  held(): number {
    return this.#calls.size
  }

  barrier(): void {
    this.#calls.save()
    if (this.#sequence > 0 && this.#counter.get(this.#address) !== this.#sequence) {
      this.#counter.set(this.#address, this.#sequence)
    }
    this.#ids.nextEpoch()
  }

  close(): void {
    this.#isClosed = true
    for (const call of this.#active) call.running?.abort(new OperationalError('CALL_CLOSED', 'the step closed.'))
  }

  /** Starts what may start, until nothing moves without waiting. */
  #proceed(): void {
    do {
      this.#handleSettled()
      while (this.#active.size < this.#settings.capacity && this.#nextWaiting < this.#waiting.length) {
        const call = this.#waiting[this.#nextWaiting++]
        this.#active.add(call)
        this.#attempt(call)
      }
    } while (this.#settled.length > 0)
    if (this.#nextWaiting * 2 >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#nextWaiting)
      this.#nextWaiting = 0
    }
    const isReady = this.isReady()
    if (isReady && !this.#wasReady) this.#ctx.requestWake()
    this.#wasReady = isReady
  }

  #attempt(call: PendingCall): void {
    const { attempt } = call
    call.phase = 'calling'
    const context = new Attempt(call)
    call.running = context
    this.#alarm(call, this.#settings.timeoutMs)
    try {
      const returned = this.#fn(call.row, context)
      if (!isPromise(returned)) this.#settle(call, attempt, true, returned)
      else {
        returned.then(
          (value) => this.#settle(call, attempt, true, value),
          (error: unknown) => this.#settle(call, attempt, false, error),
        )
      }
    } catch (error) {
      this.#settle(call, attempt, false, error)
    }
  }

  #settle(call: PendingCall, attempt: number, isOk: boolean, value: unknown): void {
    if (this.#isClosed) return
    this.#settled.push({ call, attempt, isOk, value })
    this.#ctx.requestWake()
  }

  #handleSettled(): void {
    if (this.#settled.length === 0) return
    const settled = this.#settled
    this.#settled = []
    for (const { call, attempt, isOk, value } of settled) {
      // An attempt that timed out before has been given up.
      if (call.phase !== 'calling' || call.attempt !== attempt) continue
      if (!isOk) this.#fail(call, value, false)
      else if (value === undefined) this.#giveUp(call, wrongReturn(value, this.#ctx.step, 'the function', mustResolve))
      else this.#finish(call, value)
    }
  }

  /** Time-outs and ends of pauses. O(capacity) each time one of them comes. */
  #handleDue(now: number): void {
    this.#alarmMs = Number.POSITIVE_INFINITY
    for (const call of [...this.#active]) {
      if (call.dueMs > now) continue
      if (call.phase === 'pausing') this.#attempt(call)
      else if (call.phase === 'calling') {
        const error = timedOut(call, this.#settings.timeoutMs, this.#ctx.step)
        call.running?.abort(error)
        this.#fail(call, error, true)
      }
    }
    for (const call of this.#active) this.#ask(call.dueMs)
  }

  #fail(call: PendingCall, error: unknown, isTimeout: boolean): void {
    const { retry, onTimeout } = this.#settings
    const mayRetry = !(error instanceof OperationalError) || error.retryable
    if (retry !== undefined && call.attempt <= retry.times && mayRetry) {
      this.#ctx.metrics.retried(1)
      const pause = pauseMs(retry, call.attempt, this.#ctx.random())
      call.attempt++
      call.phase = 'pausing'
      this.#alarm(call, pause)
    } else if (isTimeout && onTimeout !== undefined) {
      this.#substitute(call, onTimeout)
    } else {
      this.#giveUp(call, error)
    }
  }

  #substitute(call: PendingCall, onTimeout: (row: unknown) => unknown): void {
    let value: unknown
    try {
      value = onTimeout(call.row)
      if (value === undefined || isPromise(value)) {
        throw wrongReturn(value, this.#ctx.step, 'onTimeout', 'it must return a result')
      }
    } catch (error) {
      this.#giveUp(call, error)
      return
    }
    this.#finish(call, value)
  }

  /** The record has failed: what becomes of it is the step's error policy. */
  #giveUp(call: PendingCall, error: unknown): void {
    this.#active.delete(call)
    this.#calls.remove(call)
    this.#ctx.onError(error, call.row, call.time, call.key, call.origin)
    this.#emit(this.#order.finish(call))
  }

  #finish(call: PendingCall, value: unknown): void {
    this.#active.delete(call)
    call.phase = 'done'
    call.value = value
    this.#emit(this.#order.finish(call))
  }

  #emit(calls: readonly PendingCall[]): void {
    for (const call of calls) {
      this.#calls.remove(call)
      this.#ctx.out.emit(call.value, call.time, call.key, call.weight)
    }
  }

  #alarm(call: PendingCall, afterMs: number): void {
    call.dueMs = Math.ceil(this.#ctx.now() + afterMs)
    this.#ask(call.dueMs)
  }

  #ask(dueMs: number): void {
    if (dueMs >= this.#alarmMs) return
    this.#alarmMs = dueMs
    this.#ctx.wakeAt(dueMs)
  }
}

const mustResolve = 'it must resolve to a result; null says that there is none'

/** What user code sees of an attempt. The signal is made when it is asked for: few functions do. */
class Attempt implements CallContext {
  readonly id: string
  readonly attempt: number
  readonly time: number
  readonly #call: PendingCall
  #controller: AbortController | undefined
  #reason: unknown

  constructor(call: PendingCall) {
    this.id = call.id
    this.attempt = call.attempt
    this.time = call.time
    this.#call = call
  }

  get key(): unknown {
    return this.#call.userKey
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  abort(reason: Error): void {
    this.#reason = reason
    this.#controller?.abort(reason)
  }
}

function timedOut(call: PendingCall, timeoutMs: number, step: string): OperationalError {
  return new OperationalError(
    'CALL_TIMEOUT',
    `attempt ${call.attempt} of call "${call.id}" took longer than ${formatMs(timeoutMs)} and was given up. If it may take that long, raise { timeout }; to go on without a result, give onTimeout.`,
    { step, retryable: true, data: { id: call.id, attempt: call.attempt, timeoutMs } },
  )
}
