/** What really happened in a run, noted by the functions on the nodes and by the consumers, for the checkers. */
import type { RemoteError } from '../../src/remote-error.ts'

export type CallKind = 'work' | 'steps' | 'burst' | 'sum' | 'big'

export interface CallPlan {
  readonly id: number
  readonly client: number
  readonly kind: CallKind
  readonly startMs: number
  /** Items of a stream, or of an argument; ms of work; KiB of a payload. */
  readonly size: number
  /** Between items at the producer, and at the consumer. */
  readonly gapMs: number
  readonly slowMs: number
  readonly idempotent: boolean
  readonly resumable: boolean
  readonly deadlineMs: number | undefined
  /** The consumer leaves after that many items. */
  readonly leaveAfter: number | undefined
}

export interface CallRecord {
  readonly plan: CallPlan
  startedAtMs: number
  endedAtMs: number | undefined
  /** Each must be 1 in the end. */
  ends: number
  error: RemoteError | Error | undefined
  value: unknown
  /** What the consumer was given. */
  readonly items: unknown[]
  /** Nodes on which it began, in order; and how many of those functions have come to their end. */
  readonly begunOn: string[]
  finished: number
  produced: number
  aheadMost: number
}

export type FaultKind = 'cut' | 'lagging-cut' | 'silence' | 'slow-reader' | 'freeze' | 'twice' | 'kill' | 'restart'

export interface FaultRecord {
  readonly kind: FaultKind
  /** Whose: a node or a client by its name, or the gateway. */
  readonly whose: string
  readonly atMs: number
  /** Until its effects are over, at the latest. */
  readonly untilMs: number
}
