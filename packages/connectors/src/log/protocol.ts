/** What a process asks of its writer thread. Every request is safe to send again: its effect is there once. */
import { InvariantError, OperationalError, UsageError } from 'millrace/connector'

/** How partitions are dealt to the members of a group: in runs per topic, or one by one over all topics. */
export type Strategy = 'range' | 'roundRobin'

export interface TopicSettings {
  readonly partitions: number
  readonly retentionMs: number | null
  readonly retentionBytes: number | null
  readonly compact: boolean
  readonly tombstoneMs: number
}

/** Records of one producer for one partition, as bytes that are stored as they are. */
export interface BatchToAppend {
  /** Id of the topic partition. */
  readonly partition: number
  /** Number of the first record in the producer's count for this partition. */
  readonly sequence: number
  readonly count: number
  /** Latest timestamp of its records. */
  readonly timeHigh: number
  readonly bytes: Uint8Array
}

export interface OffsetToCommit {
  readonly partition: number
  /** Offset of the next record to read. */
  readonly next: number
  /** Generation in which the member got the partition; ignored without a member. */
  readonly generation: number
}

export interface OffsetCommit {
  readonly group: string
  /** Undefined: somebody outside the group; allowed while it has no members. */
  readonly member: string | undefined
  readonly offsets: readonly OffsetToCommit[]
}

/** A partition as a member of a group has it. */
export interface OwnedPartition {
  readonly partition: number
  readonly topic: string
  readonly number: number
  readonly generation: number
  /** Offset where the group goes on; undefined when it has never committed. */
  readonly committed: number | undefined
}

export interface MemberView {
  readonly generation: number
  readonly owned: readonly OwnedPartition[]
  /** Ids of partitions that shall go to another member once this one lets go of them. */
  readonly revoked: readonly number[]
  /** When the next lease of the group ends, in ms since the epoch. */
  readonly nextExpiry: number
}

/** Request -> its argument and its result. */
export interface Requests {
  createTopic: [{ name: string; settings: TopicSettings; mayExist: boolean }, undefined]
  deleteTopic: [{ name: string }, undefined]
  deleteRecords: [{ partition: number; before: number }, { first: number; isDone: boolean }]
  /** `own`: what the producer was before; with a transactional id it must still be. */
  openProducer: [
    { transactionalId: string | undefined; own: { producer: number; epoch: number } | undefined },
    { producer: number; epoch: number },
  ]
  /** Offsets of the first records, in the order of the batches; -1 where a repeated batch is no longer known. */
  append: [
    { producer: number; epoch: number; batches: readonly BatchToAppend[]; commits: readonly OffsetCommit[] },
    readonly number[],
  ]
  publish: [
    {
      topic: string
      sink: string
      from: number
      to: number
      digest: string
      batches: readonly Omit<BatchToAppend, 'sequence'>[]
    },
    'appended' | 'known' | 'diverged',
  ]
  join: [
    {
      group: string
      member: string
      topics: readonly string[]
      strategy: Strategy
      leaseMs: number
      revokeWithinMs: number
    },
    MemberView,
  ]
  heartbeat: [{ group: string; member: string }, MemberView]
  release: [{ group: string; member: string; partitions: readonly number[] }, MemberView]
  leave: [{ group: string; member: string }, undefined]
  commitOffsets: [OffsetCommit, undefined]
}

export type RequestName = keyof Requests
export type Argument<N extends RequestName> = Requests[N][0]
export type Result<N extends RequestName> = Requests[N][1]

/** To the thread. `data` says where the log is. */
export type ToThread =
  | { readonly type: 'request'; readonly id: number; readonly name: RequestName; readonly argument: unknown }
  | { readonly type: 'close' }

/** From the thread. */
export type FromThread =
  | { readonly type: 'done'; readonly id: number; readonly result: unknown }
  | { readonly type: 'failed'; readonly id: number; readonly error: PlainError }
  /** Records were appended, or a group changed: look. */
  | { readonly type: 'changed' }
  /** What a heartbeat found; undefined when the member is no longer one. */
  | { readonly type: 'member'; readonly member: string; readonly view: MemberView | undefined }

export interface ThreadData {
  readonly path: string
  readonly bell: string
  readonly lingerMs: number
  readonly upkeepEveryMs: number
}

/** An error as it crosses threads. */
export interface PlainError {
  readonly kind: 'usage' | 'operational' | 'invariant'
  readonly code: string
  readonly message: string
  readonly retryable: boolean
  readonly data: Readonly<Record<string, unknown>>
}

export function toPlain(thrown: unknown): PlainError {
  if (thrown instanceof UsageError || thrown instanceof OperationalError || thrown instanceof InvariantError) {
    const kind =
      thrown instanceof UsageError ? 'usage' : thrown instanceof OperationalError ? 'operational' : 'invariant'
    const retryable = thrown instanceof OperationalError && thrown.retryable
    return { kind, code: thrown.code, message: thrown.message, retryable, data: thrown.data }
  }
  const message = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown)
  return { kind: 'invariant', code: 'LOG_WRITER', message, retryable: false, data: {} }
}

export function fromPlain(error: PlainError): Error {
  const { code, message, retryable, data } = error
  if (error.kind === 'usage') return new UsageError(code, message, { data })
  if (error.kind === 'operational') return new OperationalError(code, message, { data, retryable })
  return new InvariantError(code, message, { data })
}
