/**
 * debounce: emits the last record of each key once the key has been quiet for a while.
 *
 * In event time this is a session of which only the last record counts: records of a key belong together while each is
 * less than `gap` after the one before. The outcome depends on the records' times alone, not on their arrival.
 */
import type { Batch } from '../batch/batch.ts'
import type { CanonicalKey } from '../batch/key.ts'
import type { Edge, Graph, GraphNode } from '../graph/node.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import type { Table } from '../state/table.ts'
import { type Duration, formatMs, positiveDurationMs } from '../time/duration.ts'
import { ClockDebounceOperator } from './debounce-clock.ts'
import { WHOLE_STREAM } from './instance-key.ts'
import { nodeOptions, type StepOptions } from './step-options.ts'
import { TimerQueue } from './timers.ts'

export interface DebounceOptions extends StepOptions {
  /** How long a key must be quiet. */
  readonly gap: Duration
  /** 'event' (default): by the records' times. 'processing': by the clock; the step is then 'timed'. */
  readonly time?: 'event' | 'processing'
}

export interface DebounceSpec extends DebounceOptions {
  readonly name: string
  readonly input: Edge
}

/**
 * Adds a debounce per key, or of a whole un-keyed stream. A record comes out with the time at which the quiet was long
 * enough: its own plus `gap`. By the clock it keeps its time, or gets that of the watermark if that has passed it.
 * Records that were followed too soon are counted `filtered`; those that come too late for a quiet that has been
 * decided are counted `late` and go to the output 'late'.
 * @example
 * import { openOperator } from 'millrace/testing'
 * const host = openOperator(createDebounce({ gap: '1s' }))
 * host.send([[1_000, 'H', 'field'], [1_300, 'He', 'field'], [1_900, 'Hey', 'field']])
 * host.watermark(3_000)
 * host.take() // => [{ row: 'Hey', time: 2_900, key: 'field', weight: 1 }]
 */
export function debounce(graph: Graph, spec: DebounceSpec): GraphNode {
  const isKeyed = spec.input.partitioning === 'key'
  const gapMs = positiveDurationMs(spec.gap, `gap of step "${spec.name}"`)
  return graph.add({
    kind: 'debounce',
    name: spec.name,
    inputs: [isKeyed ? spec.input : { ...spec.input, partitioning: 'single' }],
    spec: {
      type: 'operator',
      create: createDebounce(spec, { isKeyed }),
      outputs: ['late'],
      keepsKeys: isKeyed,
      changes: 'keeps',
      describe: { gap: formatMs(gapMs), time: spec.time ?? 'event' },
    },
    determinism: spec.time === 'processing' ? 'timed' : 'deterministic',
    ...nodeOptions(spec),
  })
}

/** The operator alone. */
export function createDebounce(
  options: DebounceOptions,
  stream: { readonly isKeyed: boolean } = { isKeyed: true },
): (ctx: OperatorContext) => Operator {
  return (ctx) => {
    const gapMs = positiveDurationMs(options.gap, `gap of step "${ctx.step}"`)
    const isTimed = options.time === 'processing'
    return new (isTimed ? ClockDebounceOperator : DebounceOperator)(ctx, gapMs, stream.isKeyed)
  }
}

/** Records that belong together; `row` is the one at `last`. */
interface Session {
  readonly first: number
  last: number
  row: unknown
  weight: 1 | -1
  isKeyed: boolean
}

class DebounceOperator implements Operator {
  readonly #ctx: OperatorContext
  readonly #gapMs: number
  readonly #isKeyed: boolean
  /** Open sessions of each key, in order of time, each at least `gap` from the next. */
  readonly #sessions: Table<Session[]>
  /** For each session one timer, set when it began: it is set anew when it finds that the session went on. */
  readonly #timers: TimerQueue
  #held = 0

  constructor(ctx: OperatorContext, gapMs: number, isKeyed: boolean) {
    this.#ctx = ctx
    this.#isKeyed = isKeyed
    this.#gapMs = gapMs
    this.#sessions = ctx.state.table('sessions')
    this.#timers = new TimerQueue(ctx.state.table('timers', { major: 'sub' }), ctx.step)
    this.#sessions.forEach((_key, _sub, sessions) => {
      this.#held += sessions.length
    })
  }

  process(batch: Batch): void {
    const { times, weights } = batch
    const keys = this.#isKeyed ? batch.keys : undefined
    const watermark = this.#ctx.currentWatermark()
    const late: number[] = []
    let followed = 0
    for (let i = 0; i < batch.length; i++) {
      const time = times[i]
      const key = keys?.[i] ?? WHOLE_STREAM
      const sessions = this.#sessions.get(key) ?? []
      const newest = sessions.length === 0 ? undefined : sessions[sessions.length - 1]
      if (newest !== undefined && time >= newest.last && time < newest.last + this.#gapMs) {
        // In order, a record goes on the newest session and meets no other.
        newest.last = time
        newest.row = batch.keep(i)
        newest.weight = (weights?.[i] ?? 1) as 1 | -1
        newest.isKeyed = keys !== undefined
        this.#sessions.set(key, sessions)
        followed++
        continue
      }
      const near = sessions.filter((s) => time < s.last + this.#gapMs && time > s.first - this.#gapMs)
      if (near.length === 0 && time + this.#gapMs <= watermark) {
        late.push(i)
        continue
      }
      const weight = (weights?.[i] ?? 1) as 1 | -1
      const own: Session = { first: time, last: time, row: batch.keep(i), weight, isKeyed: keys !== undefined }
      if (newest === undefined || time >= newest.last + this.#gapMs) {
        sessions.push(own)
        this.#sessions.set(key, sessions)
        this.#timers.set(key, time + this.#gapMs)
        this.#held++
        continue
      }
      const merged = near.reduce(mergeSessions, own)
      const apart = sessions.filter((s) => !near.includes(s))
      this.#sessions.set(
        key,
        [...apart, merged].sort((a, b) => a.first - b.first),
      )
      if (near.length === 0) this.#timers.set(key, time + this.#gapMs)
      followed += near.length
      this.#held += 1 - near.length
    }
    if (followed > 0) this.#ctx.metrics.filtered(followed)
    if (late.length === 0) return
    this.#ctx.metrics.late(late.length)
    this.#ctx.side('late').emitBatch(batch.select(late, late.length))
  }

  watermark(time: number): void {
    this.#timers.fire(time, (key) => this.#emitQuiet(key, time))
  }

  held(): number {
    return this.#held
  }

  #emitQuiet(key: CanonicalKey, watermark: number): void {
    const sessions = this.#sessions.get(key) ?? []
    // They are in order of time, so those that are over come first.
    let over = 0
    for (const { last, row, weight, isKeyed } of sessions) {
      if (last + this.#gapMs > watermark) this.#timers.set(key, last + this.#gapMs)
      else {
        over++
        this.#ctx.out.emit(row, last + this.#gapMs, isKeyed ? key : undefined, weight)
      }
    }
    if (over === 0) return
    if (over === sessions.length) this.#sessions.delete(key)
    else {
      sessions.splice(0, over)
      this.#sessions.set(key, sessions)
    }
    this.#held -= over
  }
}

/** `own` arrived after `other`, so of two records of one time it is the last. */
function mergeSessions(own: Session, other: Session): Session {
  const { row, weight, isKeyed } = own.last >= other.last ? own : other
  return { first: Math.min(own.first, other.first), last: Math.max(own.last, other.last), row, weight, isKeyed }
}
