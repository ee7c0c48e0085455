/** What the supervisor and its workers say to each other. Everything survives structured cloning. */
import type { EpochFiles } from '../checkpoint/epoch-log.ts'
import { InvariantError, MillraceError, messageOf, OperationalError, UsageError } from '../errors.ts'
import type { StateIdentity } from '../state/identity.ts'
import type { PartitionState, PartitionStatus } from './source-input.ts'

export type ToWorker =
  | { readonly type: 'barrier'; readonly epoch: number }
  /** Stop reading sources; what was read still goes through. */
  | { readonly type: 'drain' }
  /** The epoch is durable and published. */
  | { readonly type: 'committed'; readonly epoch: number }
  | { readonly type: 'stop' }

export type FromWorker =
  | { readonly type: 'ready'; readonly planHash: string }
  | ({ readonly type: 'snapshot' } & WorkerSnapshot)
  /** Every sink of this worker has come to its end. */
  | { readonly type: 'done' }
  /** Every source of this worker has come as far as the run should read. */
  | { readonly type: 'passed' }
  | { readonly type: 'failed'; readonly error: PlainError }
  | {
      readonly type: 'log'
      readonly level: LogLevel
      readonly step: string
      readonly message: string
      readonly data?: Record<string, unknown>
    }
  | {
      readonly type: 'status'
      readonly partitions: readonly PartitionStatus[]
      readonly gauges: readonly ConnectorGauge[]
      readonly loopLagMs: number
    }
  | { readonly type: 'stopped' }

/** A figure that a source or a sink reports of itself. */
export interface ConnectorGauge {
  readonly step: string
  readonly name: string
  readonly value: number
}

export type LogLevel = 'info' | 'warn' | 'error'

/** A worker's part of a checkpoint. */
export interface WorkerSnapshot {
  readonly worker: number
  readonly epoch: number
  readonly files: EpochFiles
  readonly sources: Readonly<Record<string, Readonly<Record<string, PartitionState>>>>
  readonly watermarks: Readonly<Record<string, number>>
  readonly states: readonly StateIdentity[]
  /** From the request to the last barrier, and from there to the durable log; ms. */
  readonly alignMs: number
  readonly durableMs: number
}

/** An error as it crosses threads. */
export interface PlainError {
  readonly kind: string
  readonly code: string
  readonly message: string
  readonly step: string | undefined
  readonly data: Record<string, unknown>
  readonly isRetryable: boolean
  readonly stack: string | undefined
}

export function toPlain(thrown: unknown): PlainError {
  const known = thrown instanceof MillraceError ? thrown : undefined
  return {
    kind: known?.name ?? 'Error',
    code: known?.code ?? 'INTERNAL',
    message: messageOf(thrown),
    step: known?.step,
    data: plainData(known?.data),
    isRetryable: thrown instanceof OperationalError && thrown.retryable,
    stack: rootStack(thrown),
  }
}

export function fromPlain(plain: PlainError): MillraceError {
  const cause = plain.stack === undefined ? undefined : Object.assign(new Error(plain.message), { stack: plain.stack })
  const details = { ...(plain.step === undefined ? {} : { step: plain.step }), data: plain.data, cause }
  if (plain.kind === 'UsageError') return new UsageError(plain.code, plain.message, details)
  if (plain.kind === 'OperationalError') {
    return new OperationalError(plain.code, plain.message, { ...details, retryable: plain.isRetryable })
  }
  return new InvariantError(plain.code, plain.message, details)
}

function plainData(data: Readonly<Record<string, unknown>> | undefined): Record<string, unknown> {
  try {
    return JSON.parse(JSON.stringify(data ?? {})) as Record<string, unknown>
  } catch {
    return {}
  }
}

/** The stack of the first cause: where the user's function failed. */
function rootStack(thrown: unknown): string | undefined {
  let error = thrown
  while (error instanceof Error && error.cause instanceof Error) error = error.cause
  return error instanceof Error ? error.stack : undefined
}
