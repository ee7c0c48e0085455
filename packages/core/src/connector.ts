/**
 * The contract of sources and sinks: what a connector author implements. `sourceContract` and `sinkContract` in
 * `millrace/testing` check an implementation against it; the guide page "write your own connector" builds one.
 *
 * A source is a description; the runtime asks it for its partitions, then opens a reader per partition.
 * A sink is a description; each worker opens a writer, and one committer publishes what the writers staged.
 */
import type { Batch } from './batch/batch.ts'
import type { Disk } from './runtime/ports.ts'

// What a connector is written with, so that it needs this one import.
export { type Batch, RowBatch } from './batch/batch.ts'
export { markedRow } from './batch/changes.ts'
export { ColumnBuilder, columnsFromRows } from './batch/column-builder.ts'
export { type ColumnValue, object, type RowOf, type Schema, schema } from './batch/schema.ts'
export { InvariantError, messageOf, OperationalError, UsageError } from './errors.ts'
export type { Disk, DiskFile, OpenMode } from './runtime/ports.ts'
export { type Duration, durationMs, positiveDurationMs } from './time/duration.ts'

/** A position is JSON-safe and means "everything before this was delivered". */
export type Position = string | number | boolean | null | readonly Position[] | { readonly [name: string]: Position }

export interface Source<T> {
  /** Short name of the connector, for the plan: 'file.jsonLines'. */
  readonly kind: string
  /** Parameters for the plan and the logs; no secrets. */
  describe(): Readonly<Record<string, unknown>>
  /** Names of the partitions, stable across runs. Called once, by the supervisor, at start. */
  partitions(ctx: SourceContext): Promise<readonly string[]> | readonly string[]
  /** Opens a partition at `position`, or at its beginning when undefined. */
  open(
    partition: string,
    position: Position | undefined,
    ctx: SourceContext,
  ): Promise<SourceReader<T>> | SourceReader<T>
  /** Does the source end by itself? A bounded source's reader returns 'end'. Shown in the plan. */
  readonly bounded?: boolean
  /** True when reading again from a position gives the same records; needed for exactly-once. */
  readonly replayable: boolean
  /**
   * What happens to a record that cannot be used when the flow gives its source no `onError`. Default 'fail'. Sources that
   * anybody may send to say 'skip': one bad sender must not stop the flow. What is skipped is counted as `dropped`.
   */
  readonly onError?: 'fail' | 'skip'
  /** Only kept for type inference; never set. */
  readonly _row?: T
}

export interface SourceContext {
  readonly step: string
  readonly flow: string
  readonly disk: Disk
  /** Folder of this run's embedded log, for connectors that were not told another one. */
  readonly logFolder: string
  readonly signal: AbortSignal
  now(): number
  /** Resolves after about `ms`, or at once when `signal` aborts: connectors poll with it and own no timers. */
  wait(ms: number): Promise<void>
  /**
   * A record that cannot be decoded: handled by the source's error policy; `raw` is a text or bytes cut to 4 KiB.
   * Throws under 'fail'. Called in the `read` whose `next` passes the record, so that each is rejected once per commit.
   */
  reject(error: BadRecord): void
  /**
   * Records that had to be let go unread: a buffer was full where the sender cannot be held back. They count as records
   * in, and as `dropped` with the reason 'buffer-full'.
   */
  lost(count: number): void
  /** A figure of this source that observers see once a second: connections, bytes in a buffer. At most 32 names. */
  gauge(name: string, value: number): void
  log(level: 'info' | 'warn' | 'error', message: string, data?: Record<string, unknown>): void
}

export interface BadRecord {
  readonly code: string
  readonly message: string
  readonly partition: string
  readonly at: string | number
  readonly raw: unknown
}

export interface SourceReader<T> {
  /**
   * The next rows, at most `maxRows`, in order. One call is in flight at a time. A reader with nothing to give resolves
   * within about a second with an empty batch rather than holding the promise for ever.
   * 'end' means the partition will never give another row.
   */
  read(maxRows: number): Promise<SourceBatch<T> | 'end'> | SourceBatch<T> | 'end'
  /**
   * A commit that holds this partition at `position` is durable, and what it wrote is published: the moment to
   * acknowledge to a sender. Called once per commit in which the position moved, in order; what it throws stops the flow.
   * A crash may come between a commit and this call, so a sender that resends what was not acknowledged may send twice.
   */
  committed?(position: Position): void
  /** Records known to be behind the position, or undefined when unknown. Asked about once a second. */
  lag?(): number | undefined
  /** Share of the partition that has been read, 0..1, or undefined when unknown. For progress display only. */
  progress?(): number | undefined
  close(): Promise<void> | void
}

export interface SourceBatch<T> {
  /** Plain rows, or a ready batch (columns) whose `times` are ignored. */
  readonly rows: readonly T[] | Batch<T>
  /** Position after the last row of this batch. */
  readonly next: Position
  /** True when the reader has given everything that exists at the moment: a backlog is never idle. */
  readonly caughtUp: boolean
  /** Position of row `i` for messages and dead letters: a line number, an offset. */
  at(i: number): string | number
}

/**
 * 'staged': rows are encoded to bytes, become durable with the checkpoint, and are published after the decision, again
 *   after a crash, idempotently (exactly-once where the target can tell what it has, as files do).
 * 'idempotent': rows are written at once; writing the same row twice leaves one. Allowed only below deterministic steps.
 * 'at-least-once': rows are written at once; after a crash some are written again.
 */
export type SinkGuarantee = 'staged' | 'idempotent' | 'at-least-once'

export interface Sink<T> {
  readonly kind: string
  readonly guarantee: SinkGuarantee
  describe(): Readonly<Record<string, unknown>>
  /**
   * True when rows that are taken back (weight -1) are written so that a reader can tell them from new ones: marked as
   * `markedRow` does, or deleted. Without it the sink gets none: the flow is refused with `SINK_CHANGES`.
   */
  readonly takesChanges?: boolean
  /** True for what there can only be one of, as a port that is listened at: one worker then writes all rows. */
  readonly isSingle?: boolean
  /** Opens this worker's writer. */
  open(ctx: SinkContext): Promise<SinkWriter<T>> | SinkWriter<T>
  /** For 'staged' sinks: opened once, by the supervisor. */
  committer?(ctx: SinkContext): Promise<SinkCommitter> | SinkCommitter
  /** Contravariant marker for type inference; never set. */
  readonly _accepts?: (row: T) => void
}

export interface SinkContext {
  readonly step: string
  readonly flow: string
  readonly disk: Disk
  /** Folder of this run's embedded log, for connectors that were not told another one. */
  readonly logFolder: string
  readonly instance: { readonly index: number; readonly count: number }
  readonly signal: AbortSignal
  /**
   * Deliveries that were let go because a receiver was too slow. They are counted beside the balance of records: the
   * sink has taken the record, and others may have received it.
   */
  lost(count: number): void
  /** A figure of this sink that observers see once a second: subscribers, bytes in a buffer. At most 32 names. */
  gauge(name: string, value: number): void
  log(level: 'info' | 'warn' | 'error', message: string, data?: Record<string, unknown>): void
}

export interface SinkWriter<T> {
  /**
   * 'staged' sinks return the bytes to stage (they are durable before `SinkCommitter.publish` sees them); the others
   * write and return nothing. A promise holds the step's input back: that is the back-pressure.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a writer without a return statement is the common case
  write(batch: Batch<T>): Uint8Array | undefined | void | Promise<Uint8Array | undefined | void>
  /** Everything written so far must be durable at the target when this resolves. Not called for 'staged' sinks. */
  flush?(): Promise<void> | void
  close(): Promise<void> | void
}

export interface SinkCommitter {
  /**
   * State of the target as the last commit left it, e.g. a length. Called once, before the first publish; brings the
   * target to exactly that state. Undefined only when nothing was ever committed: the runtime then takes
   * `after(undefined, 0)` as the state the first epoch starts from, and writes it into that epoch's decision, so that
   * a crash in the first publish is restored with it and not with undefined.
   * With `upTo`, a publish from `state` to `upTo` follows at once, of which a crash may have left a part, or all: that
   * may stay, so that readers do not see committed records go and come back.
   * @throws OperationalError when the target cannot be brought there
   */
  restore(state: Position | undefined, upTo?: Position): Promise<void> | void
  /**
   * State that the target will have after `staged` bytes are published on top of `state`; pure.
   * It is written into the commit's decision record before `publish`.
   */
  after(state: Position | undefined, stagedBytes: number): Position
  /**
   * Publishes one epoch's bytes, in order, starting from `from` and ending in `to`; must be idempotent: it may be called
   * again after a crash in the middle, with the same bytes.
   */
  publish(from: Position | undefined, to: Position, staged: AsyncIterable<Uint8Array>): Promise<void>
  close(): Promise<void> | void
}
