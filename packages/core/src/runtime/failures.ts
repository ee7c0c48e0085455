/** What becomes of an error: the step's policy for records, the step's name for what connectors throw. */
import { RowBatch } from '../batch/batch.ts'
import { type CanonicalKey, originalKey } from '../batch/key.ts'
import { InvariantError, MillraceError, messageOf, OperationalError, UsageError } from '../errors.ts'
import type { AnyFn, DeadLetter, ErrorPolicy, GraphNode } from '../graph/node.ts'
import type { Receiver } from './receiver.ts'
import type { StepCounter } from './step-host.ts'

/** A function that is called again as its step's policy says. Steps without state cannot wait, so retries follow at once. */
export function retrying(fn: AnyFn, policy: ErrorPolicy, counter: StepCounter): AnyFn {
  if (policy.type !== 'retry') return fn
  const times = policy.times
  return (...args) => {
    for (let attempt = 0; ; attempt++) {
      try {
        return fn(...args)
      } catch (error) {
        if (attempt >= times) throw error
        counter.retried(1)
      }
    }
  }
}

/** Applies a step's error policy to one record. Returns when the flow goes on. */
export function applyErrorPolicy(
  node: GraphNode,
  counter: StepCounter,
  dead: Receiver,
  thrown: unknown,
  row: unknown,
  time: number,
  key: CanonicalKey | undefined,
  origin: string | undefined,
): void {
  // Not this step's: one after it failed while this one was emitting to it, and has been asked already.
  if (thrown instanceof MillraceError && thrown.step !== undefined && thrown.step !== node.name) throw thrown
  counter.add('errors', 1)
  if (thrown instanceof InvariantError) throw withStep(thrown, node)
  const error = describeFailure(node, thrown, time, key, origin)
  let policy = node.onError
  while (policy.type === 'retry') policy = policy.otherwise
  if (policy.type === 'fail') throw error
  if (policy.type === 'skip') {
    counter.dropped(1, 'error')
    return
  }
  counter.dead(1)
  const letter: DeadLetter = {
    step: node.name,
    code: error.code,
    message: messageOf(thrown),
    origin,
    time: Number.isNaN(time) ? undefined : time,
    key: key === undefined ? undefined : originalKey(key),
    record: row,
  }
  dead.batch(new RowBatch<unknown>([letter], [Number.isNaN(time) ? 0 : time]))
}

/** What a connector threw, with the step: an error of ours stays what it is, any other is the environment's. */
export function connectorError(thrown: unknown, code: 'SINK_FAILED' | 'SOURCE_FAILED', step: string): MillraceError {
  if (!(thrown instanceof MillraceError)) {
    const what = code === 'SINK_FAILED' ? 'the sink' : 'the source'
    return new OperationalError(
      code,
      `${what} failed: ${messageOf(thrown)}. The run ends; what is committed stays, and the next start goes on from there.`,
      { step, cause: thrown },
    )
  }
  if (thrown.step !== undefined) return thrown
  const details = { step, data: thrown.data, cause: thrown }
  if (thrown instanceof UsageError) return new UsageError(thrown.code, thrown.message, details)
  if (thrown instanceof OperationalError)
    return new OperationalError(thrown.code, thrown.message, { ...details, retryable: thrown.retryable })
  return new InvariantError(thrown.code, thrown.message, details)
}

function withStep(error: InvariantError, node: GraphNode): InvariantError {
  if (error.step !== undefined) return error
  return new InvariantError(error.code, error.message, { step: node.name, data: error.data, cause: error })
}

function describeFailure(
  node: GraphNode,
  thrown: unknown,
  time: number,
  key: CanonicalKey | undefined,
  origin: string | undefined,
): MillraceError {
  if (thrown instanceof UsageError) return thrown
  const known = thrown instanceof MillraceError ? thrown : undefined
  const place =
    node.at === undefined || known?.message.includes(node.at) ? undefined : `the function given at ${node.at}`
  const where = [
    place,
    origin === undefined ? undefined : `at record ${origin}`,
    key === undefined
      ? undefined
      : `key ${JSON.stringify(originalKey(key), (_, v) => (typeof v === 'bigint' ? `${v}n` : v))}`,
    Number.isNaN(time) ? undefined : `event time ${time}`,
  ].filter((part) => part !== undefined)
  const remedy = "Mend the function or the record, or give the step { onError: 'skip' } or a dead-letter sink."
  return new OperationalError(
    known?.code ?? 'CALLBACK_FAILED',
    `${messageOf(thrown)}${where.length === 0 ? '' : ` (${where.join(', ')})`}${known?.step === undefined ? `. ${remedy}` : ''}`,
    {
      step: node.name,
      cause: thrown,
      data: { ...known?.data, origin, time },
      retryable: known instanceof OperationalError && known.retryable,
    },
  )
}
