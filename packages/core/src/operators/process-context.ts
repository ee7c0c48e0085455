/**
 * The context that `process` handlers get, and the scope behind it: which key, time and weight the call in progress has.
 */
import { type CanonicalKey, originalKey } from '../batch/key.ts'
import { UsageError } from '../errors.ts'
import type { OperatorContext, Output } from '../graph/operator.ts'
import type { RecordContext } from './process-types.ts'
import type { StateScope } from './state-entries.ts'
import type { TimerService } from './timers.ts'

/** The call in progress. */
export class CallScope implements StateScope {
  readonly step: string
  readonly now: () => number
  key: CanonicalKey | undefined
  time = 0
  emitTime: number | undefined
  weight: 1 | -1 = 1

  constructor(step: string, now: () => number) {
    this.step = step
    this.now = now
  }

  enter(key: CanonicalKey, time: number, emitTime: number | undefined, weight: 1 | -1): void {
    this.key = key
    this.time = time
    this.emitTime = emitTime
    this.weight = weight
  }

  leave(): void {
    this.key = undefined
  }

  /** @throws UsageError `STATE_OUTSIDE_CALL` */
  currentKey(what: string): CanonicalKey {
    if (this.key !== undefined) return this.key
    throw new UsageError(
      'STATE_OUTSIDE_CALL',
      `${what} was used outside a call of the step's handlers. The context is valid until the handler returns: do not keep it for a callback or after await; asynchronous work belongs in mapAsync.`,
      { step: this.step },
    )
  }
}

/** One object for all calls of an instance; typed by the handlers as what each of them may use. */
export function callContext(
  ctx: OperatorContext,
  scope: CallScope,
  timers: TimerService,
  options: { readonly isKeyed: boolean; readonly outputs?: readonly string[]; readonly timed?: boolean },
): RecordContext<unknown> {
  const { step } = ctx
  const sides = new Map((options.outputs ?? []).map((name): [string, Output] => [name, ctx.side(name)]))
  const requireTimed = (what: string): void => {
    if (options.timed !== true) throw notTimed(what, step)
  }
  const emitTo = (output: Output, row: unknown, time: number | undefined): void => {
    const key = scope.currentKey('emit')
    const at = time ?? scope.emitTime
    if (row === undefined || at === undefined || !Number.isFinite(at)) throw wrongEmit(row, at, step)
    output.emit(row, at, options.isKeyed ? key : undefined)
  }
  return {
    get key() {
      const key = scope.currentKey('ctx.key')
      return options.isKeyed ? originalKey(key) : undefined
    },
    get time() {
      return scope.time
    },
    get weight() {
      return scope.weight
    },
    get watermark() {
      return ctx.currentWatermark()
    },
    now() {
      requireTimed('now()')
      return ctx.now()
    },
    emit: (row, time) => emitTo(ctx.out, row, time),
    output(name, row, time) {
      const side = sides.get(name)
      if (side === undefined) throw unknownOutput(name, [...sides.keys()], step)
      emitTo(side, row, time)
    },
    timers: {
      event: (time, tag) => timers.event.set(scope.currentKey('timers.event'), time, tag),
      processing(time, tag) {
        requireTimed('timers.processing')
        timers.setProcessing(scope.currentKey('timers.processing'), time, tag)
      },
      deleteEvent: (time, tag) => timers.event.delete(scope.currentKey('timers.deleteEvent'), time, tag),
      deleteProcessing: (time, tag) => timers.processing.delete(scope.currentKey('timers.deleteProcessing'), time, tag),
    },
  }
}

export function notTimed(what: string, step: string): UsageError {
  return new UsageError(
    'PROCESS_TIMED',
    `${what} depends on the clock, so the step's output may differ from run to run, and sinks must know. Give the step { timed: true }, or use event time.`,
    { step },
  )
}

function wrongEmit(row: unknown, time: number | undefined, step: string): UsageError {
  const problem =
    row === undefined
      ? 'undefined was emitted; a row may be anything else'
      : time === undefined
        ? 'a row was emitted without a time where there is none to take over (in onEnd, and in a processing timer before the first watermark); pass one: emit(row, time)'
        : `a row was emitted with event time ${String(time)}; it must be a finite number of ms since the epoch`
  return new UsageError('PROCESS_EMIT', `${problem}.`, { step })
}

function unknownOutput(name: string, known: readonly string[], step: string): UsageError {
  const has = known.length === 0 ? 'none' : known.map((one) => `"${one}"`).join(', ')
  return new UsageError(
    'PROCESS_OUTPUT',
    `output "${name}" is not one of the step's side outputs (${has}). Name it in the option { outputs: [...] }.`,
    { step, data: { output: name } },
  )
}
