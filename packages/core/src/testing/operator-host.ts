/**
 * Hosts one operator outside the runtime, for tests: state in memory, a clock that stands still until it is told to
 * move, seeded randomness, captured outputs. Enforces the operator contract (graph/operator.ts, O1 to O5).
 *
 * Invariants:
 *  H1  The operator is called by one method at a time; what it emits at any other moment is an InvariantError (O2).
 *  H2  Input waits in arrival order while the operator is not ready or its output full, and is given to it afterwards.
 *  H3  Rows given to `process` are views that die when the call returns, unless `views: false`.
 */
import { type Batch, RowBatch } from '../batch/batch.ts'
import { type CanonicalKey, canonicalKey, type Key, keyGroupOf, originalKey, ownerOfGroup } from '../batch/key.ts'
import { InvariantError, messageOf, OperationalError, UsageError } from '../errors.ts'
import type { GraphNode } from '../graph/node.ts'
import type { Operator } from '../graph/operator.ts'
import { StateStore } from '../state/store.ts'
import { hostMetrics } from './host-metrics.ts'
import { HostOutputs } from './host-outputs.ts'
import { type HostSnapshot, loadHostSnapshot, saveHostSnapshot, sectionsOf } from './host-snapshot.ts'
import type {
  CreateOperator,
  EmittedRow,
  HostError,
  HostMetrics,
  OperatorHost,
  OperatorHostOptions,
  TimedRow,
} from './host-types.ts'
import { seededRandom } from './sim-random.ts'
import { ViewBatch, ViewScope } from './view-batch.ts'

export type {
  CreateOperator,
  EmittedRow,
  OperatorHost,
  OperatorHostOptions,
  TimedRow,
} from './host-types.ts'

/**
 * Hosts an operator.
 * @example
 * const host = openOperator(ctx => ({ process: batch => ctx.out.emitBatch(batch) }))
 * host.send([[1_000, 'a']])
 * host.take() // => [{ row: 'a', time: 1000, key: undefined, weight: 1 }]
 */
export function openOperator(what: CreateOperator | GraphNode, options: OperatorHostOptions = {}): OperatorHost {
  return new Host(what, options, [])
}

const wakesMax = 100_000
const quietTurns = 5

class Host implements OperatorHost {
  readonly operator: Operator
  readonly instance: { readonly index: number; readonly count: number }
  readonly errors: HostError[] = []
  readonly metrics: HostMetrics
  readonly #what: CreateOperator | GraphNode
  readonly #options: OperatorHostOptions
  readonly #step: string
  readonly #store: StateStore
  readonly #base: readonly Uint8Array[]
  readonly #delta: Uint8Array[] = []
  readonly #scope: ViewScope
  readonly #outputs: HostOutputs
  readonly #watermarks: number[]
  readonly #idle: boolean[]
  readonly #waiting: (() => void)[] = []
  #now: number
  #calling: string | undefined = 'create'
  #watermark = Number.NEGATIVE_INFINITY
  #watermarkOut = Number.NEGATIVE_INFINITY
  #emittedLate = 0
  #wakeRequested = false
  #wakeAt = Number.POSITIVE_INFINITY
  #isClosed = false

  constructor(what: CreateOperator | GraphNode, options: OperatorHostOptions, snapshots: readonly HostSnapshot[]) {
    const node = typeof what === 'function' ? undefined : what
    if (node !== undefined && node.spec.type !== 'operator') {
      throw new UsageError('HOST_NODE', `"${node.name}" is a ${node.spec.type} node; only operators can be hosted.`)
    }
    const spec = node?.spec.type === 'operator' ? node.spec : undefined
    this.#what = what
    this.#options = options
    this.#step = options.step ?? node?.name ?? 'hosted'
    const inputs = options.inputs ?? node?.inputs.length ?? 1
    const instance = options.instance ?? { index: 0, count: 1 }
    this.instance = instance
    const isKeyed = node === undefined || node.inputs.some((edge) => edge.partitioning === 'key')
    const owns = (key: CanonicalKey): boolean =>
      !isKeyed || ownerOfGroup(keyGroupOf(key), instance.count) === instance.index
    this.#now = snapshots[0]?.now ?? options.now ?? 0
    this.#watermarks = Array.from({ length: inputs }, (_, i) => lowest(snapshots.map((s) => s.watermarks[i])))
    this.#idle = Array.from({ length: inputs }, (_, i) => snapshots.length > 0 && snapshots.every((s) => s.idle[i]))
    this.#watermark = lowest(snapshots.map((s) => s.watermark))
    this.#watermarkOut = lowest(snapshots.map((s) => s.watermarkOut))
    this.#scope = new ViewScope(this.#step)
    this.#store = new StateStore({ worker: instance })
    this.#base = sectionsOf(snapshots)
    for (const section of this.#base) this.#store.apply(section, owns)
    this.#outputs = new HostOutputs({
      step: this.#step,
      mayEmit: () => this.#calling !== undefined && this.#calling !== 'create',
      isView: (row) => this.#scope.isView(row),
      onEmit: (time) => {
        if (time < this.#watermarkOut) this.#emittedLate++
      },
    })
    const { counters, metrics } = hostMetrics()
    this.metrics = counters
    const names = options.outputs ?? (spec === undefined ? undefined : (spec.outputs ?? []))
    const random = seededRandom(options.seed ?? 1)
    const create = spec?.create ?? (what as CreateOperator)
    this.operator = create({
      step: this.#step,
      out: this.#outputs.output('out'),
      side: (name) => {
        if (names === undefined || names.includes(name)) return this.#outputs.output(name)
        throw new InvariantError(
          'SIDE_OUTPUT',
          `the operator asked for output "${name}", which its node does not list.`,
          {
            step: this.#step,
          },
        )
      },
      state: this.#store.forStep(this.#step, { keyed: isKeyed }),
      metrics,
      now: () => this.#now,
      requestWake: () => {
        this.#wakeRequested = true
      },
      wakeAt: (timeMs) => {
        this.#wakeAt = Math.min(this.#wakeAt, timeMs)
      },
      currentWatermark: () => this.#watermark,
      inputWatermark: (input) => this.#watermarks[input],
      isIdle: (input) => this.#idle[input],
      instance,
      owns,
      random: () => random.next(),
      onError: (error, row, time, key, origin) => this.#onError(error, row, time, key, origin),
    })
    this.#calling = undefined
  }

  get now(): number {
    return this.#now
  }

  get watermarkOut(): number {
    return this.#watermarkOut
  }

  get emittedLate(): number {
    return this.#emittedLate
  }

  get isReady(): boolean {
    return this.operator.isReady?.() ?? true
  }

  get held(): number {
    return this.operator.held?.() ?? 0
  }

  get waiting(): number {
    return this.#waiting.length
  }

  send(rows: readonly TimedRow[] | readonly unknown[], input = 0): void {
    this.sendBatch(this.#batchOf(rows), input)
  }

  sendBatch(batch: Batch, input = 0): void {
    this.#deliver(() => {
      this.#idle[input] = false
      const given = this.#options.views === false ? batch : new ViewBatch(batch, this.#scope)
      this.#call('process', () => this.operator.process(given, input))
    })
  }

  watermark(time: number, input?: number): void {
    this.#deliver(() => {
      for (const i of input === undefined ? this.#watermarks.keys() : [input]) {
        if (!(time >= this.#watermarks[i])) {
          throw new InvariantError(
            'WATERMARK_BACKWARDS',
            `watermark ${time} of input ${i} is below ${this.#watermarks[i]}; watermarks rise.`,
            { step: this.#step },
          )
        }
        const isNew = time > this.#watermarks[i]
        this.#watermarks[i] = time
        this.#idle[i] = false
        if (isNew && this.operator.inputWatermark !== undefined) {
          this.#call('inputWatermark', () => this.operator.inputWatermark?.(i, time))
        }
      }
      this.#combineWatermarks()
    })
  }

  idle(input: number): void {
    this.#deliver(() => {
      this.#idle[input] = true
      if (this.operator.inputWatermark !== undefined) {
        this.#call('inputWatermark', () => this.operator.inputWatermark?.(input, this.#watermarks[input]))
      }
      this.#combineWatermarks()
    })
  }

  advance(ms: number): void {
    const until = this.#now + ms
    for (let wakes = 0; this.#wakeRequested || this.#wakeAt <= until; wakes++) {
      if (wakes === wakesMax) throw this.#wakesForEver()
      if (!this.#wakeRequested) this.#now = Math.max(this.#now, this.#wakeAt)
      this.#wake()
    }
    this.#now = until
  }

  setNow(timeMs: number): void {
    this.#now = timeMs
  }

  async settle(): Promise<void> {
    let wakes = 0
    for (let quiet = 0; quiet < quietTurns; quiet++) {
      await new Promise<void>((resolve) => setImmediate(resolve))
      this.#drain()
      if (!this.#isWakeDue()) continue
      if (++wakes === wakesMax) throw this.#wakesForEver()
      this.#wake()
      quiet = 0
    }
  }

  end(input?: number): void {
    this.watermark(Number.POSITIVE_INFINITY, input)
    for (let wakes = 0; this.#isWakeDue(); wakes++) {
      if (wakes === wakesMax) throw this.#wakesForEver()
      this.#wake()
    }
  }

  take<T>(output = 'out'): EmittedRow<T>[] {
    return this.#outputs.take(output) as EmittedRow<T>[]
  }

  snapshot(): Uint8Array {
    if (this.#waiting.length > 0) {
      throw new InvariantError('SNAPSHOT_WAITING', 'input waits before the operator; settle() before the snapshot.', {
        step: this.#step,
      })
    }
    this.#call('barrier', () => this.operator.barrier?.())
    this.#delta.push(...this.#store.delta())
    return saveHostSnapshot({
      base: this.#base,
      delta: this.#delta,
      watermarks: this.#watermarks,
      idle: this.#idle,
      watermark: this.#watermark,
      watermarkOut: this.#watermarkOut,
      now: this.#now,
    })
  }

  restore(
    snapshot: Uint8Array | readonly Uint8Array[],
    options: Pick<OperatorHostOptions, 'instance'> = {},
  ): OperatorHost {
    const bytes = snapshot instanceof Uint8Array ? [snapshot] : snapshot
    return new Host(this.#what, { ...this.#options, ...options }, bytes.map(loadHostSnapshot))
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.operator.close?.()
  }

  #call(name: string, run: () => void): void {
    if (this.#isClosed) throw new UsageError('HOST_CLOSED', `${name} was called after close().`, { step: this.#step })
    if (this.#calling !== undefined) {
      throw new InvariantError('OPERATOR_REENTERED', `${name} was called during ${this.#calling} (O1).`, {
        step: this.#step,
      })
    }
    this.#calling = name
    try {
      const returned: unknown = run()
      if (returned instanceof Promise) {
        throw new InvariantError('OPERATOR_ASYNC', `${name} returned a promise; operators are synchronous (O1).`, {
          step: this.#step,
        })
      }
    } finally {
      this.#calling = undefined
      this.#scope.poison()
    }
    this.#forwardWatermark()
  }

  #wake(): void {
    this.#wakeRequested = false
    if (this.#wakeAt <= this.#now) this.#wakeAt = Number.POSITIVE_INFINITY
    this.#call('wake', () => this.operator.wake?.(this.#now))
    this.#drain()
  }

  #isWakeDue(): boolean {
    return (this.#wakeRequested || this.#wakeAt <= this.#now) && !this.#isFull()
  }

  #isFull(): boolean {
    return this.#options.isFull?.() ?? false
  }

  #deliver(run: () => void): void {
    this.#waiting.push(run)
    this.#drain()
  }

  #drain(): void {
    while (this.#waiting.length > 0 && this.isReady && !this.#isFull()) (this.#waiting.shift() as () => void)()
  }

  /** As runtime/operator-node.ts N1 and N3: an ended input ends nothing while an idle one may speak again. */
  #combineWatermarks(): void {
    let combined = Number.POSITIVE_INFINITY
    let active = 0
    let ended = 0
    for (let i = 0; i < this.#watermarks.length; i++) {
      if (this.#watermarks[i] === Number.POSITIVE_INFINITY) ended++
      else if (!this.#idle[i]) {
        active++
        combined = Math.min(combined, this.#watermarks[i])
      }
    }
    if ((active === 0 && ended < this.#watermarks.length) || combined <= this.#watermark) return
    this.#watermark = combined
    this.#call('watermark', () => this.operator.watermark?.(combined))
  }

  #forwardWatermark(): void {
    const out = Math.min(this.#watermark, this.operator.hold?.() ?? Number.POSITIVE_INFINITY)
    if (out > this.#watermarkOut) this.#watermarkOut = out
  }

  #onError(
    error: unknown,
    row: unknown,
    time: number,
    key: CanonicalKey | undefined,
    origin: string | undefined,
  ): void {
    this.errors.push({ error, row, time, key: key === undefined ? undefined : originalKey(key), origin })
    if (this.#scope.isView(row)) {
      throw new InvariantError('VIEW_RETAINED', 'onError was given a row view; give it batch.keep(i).', {
        step: this.#step,
      })
    }
    if (this.#options.onError === 'skip') return
    throw new OperationalError('CALLBACK_FAILED', messageOf(error), { step: this.#step, cause: error })
  }

  #batchOf(rows: readonly unknown[]): Batch {
    const time = this.#options.time as ((row: unknown) => number) | undefined
    const keyOf = this.#options.key as ((row: unknown) => Key) | undefined
    const plain = time === undefined ? rows.map((tuple) => (tuple as TimedRow)[1]) : rows
    const times = time === undefined ? rows.map((tuple) => (tuple as TimedRow)[0]) : rows.map((row) => time(row))
    const keys = plain.map((row, i) => keyOf?.(row) ?? (time === undefined ? (rows[i] as TimedRow)[2] : undefined))
    const isKeyed = keys.length > 0 && keys[0] !== undefined
    return new RowBatch(plain, times, isKeyed ? keys.map(canonicalKey) : undefined)
  }

  #wakesForEver(): InvariantError {
    return new InvariantError('WAKE_LOOP', `the operator asked for ${wakesMax} wake-ups without the clock moving on.`, {
      step: this.#step,
    })
  }
}

/** Restored instances start at the lowest watermark of those they were made from. */
function lowest(times: readonly number[]): number {
  return times.length === 0 ? Number.NEGATIVE_INFINITY : Math.min(...times)
}
