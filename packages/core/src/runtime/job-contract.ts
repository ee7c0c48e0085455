/** What a job is given, what it starts workers with, and what it tells its observers. */
import type { CheckpointStore } from '../checkpoint/checkpoint-store.ts'
import type { Manifest } from '../checkpoint/manifest.ts'
import type { MillraceError } from '../errors.ts'
import type { Plan } from '../graph/plan.ts'
import type { FromWorker, LogLevel, PlainError, ToWorker } from './messages.ts'
import type { StepCounters } from './metrics.ts'
import type { Ports } from './ports.ts'
import type { PartitionState } from './source-input.ts'
import type { Until } from './until.ts'

/** One attempt's workers. */
export interface WorkerSet {
  send(index: number, message: ToWorker): void
  /** Ends all workers without asking. */
  terminate(): Promise<void>
}

export interface SpawnRequest {
  readonly plan: Plan
  readonly counters: readonly Float64Array<SharedArrayBuffer>[]
  readonly alignment: Float64Array<SharedArrayBuffer>
  readonly assignments: readonly Readonly<Record<string, readonly string[]>>[]
  readonly manifest: Manifest | undefined
  /** Folder of the embedded log, for connectors. */
  readonly logFolder: string
  /** The first epoch this attempt cuts. */
  readonly firstEpoch: number
  readonly from: Readonly<Record<string, Readonly<Record<string, PartitionState>>>>
  readonly until: Until | undefined
  readonly renames: ReadonlyMap<string, string>
  readonly allowDropped: readonly string[]
  readonly stateBytesMax: number
  /** Largest batch read from a source. */
  readonly batchRows: number
  readonly chainMode: 'generated' | 'interpreted' | 'auto'
  onMessage(index: number, message: FromWorker): void
  /** The worker ended without being asked: exit code or error. */
  onExit(index: number, error: PlainError): void
}

/** Resolves when every worker has restored its state and opened its sources and sinks. */
export type Spawn = (request: SpawnRequest) => Promise<WorkerSet>

export interface JobOptions {
  readonly plan: Plan
  readonly ports: Ports
  readonly store: CheckpointStore
  /** Fails when another process has taken the state folder over. */
  readonly checkLock?: () => Promise<void>
  readonly spawn: Spawn
  readonly logFolder: string
  readonly commitEveryMs: number
  readonly from: Readonly<Record<string, Readonly<Record<string, PartitionState>>>>
  /** Start from this savepoint rather than from the last commit. */
  readonly savepoint?: string | undefined
  /** Event time at which sources stop reading. */
  readonly until: Until | undefined
  readonly allowDropped: readonly string[]
  readonly stateBytesMax: number
  readonly restartsMax: number
  /** Largest batch read from a source. */
  readonly batchRows: number
  readonly chainMode: 'generated' | 'interpreted' | 'auto'
  onEvent?(event: JobEvent): void
}

export interface CommitEvent {
  readonly type: 'commit'
  readonly epoch: number
  readonly at: number
  /** Milliseconds of each phase. */
  readonly phases: Readonly<Record<'barrier' | 'snapshot' | 'decision' | 'publish', number>>
  readonly bytes: number
}

export type JobEvent =
  | { readonly type: 'starting'; readonly attempt: number; readonly epoch: number }
  | { readonly type: 'running'; readonly attempt: number }
  | CommitEvent
  | { readonly type: 'restart'; readonly error: MillraceError; readonly attempt: number; readonly delayMs: number }
  | {
      readonly type: 'log'
      readonly level: LogLevel
      readonly step: string
      readonly message: string
      readonly data?: Record<string, unknown>
    }
  | { readonly type: 'ended'; readonly outcome: 'finished' | 'stopped' | 'failed'; readonly error?: MillraceError }

/** What a run did. */
export interface RunReport {
  readonly flow: string
  /** 'finished': every source ended. 'stopped': asked to, everything committed. */
  readonly outcome: 'finished' | 'stopped'
  /** Epochs committed by this run. */
  readonly epochs: number
  readonly lastEpoch: number
  readonly restarts: number
  readonly elapsedMs: number
  /** Counters of each named or unnamed step, by name. After a restart they count again from the restored epoch. */
  readonly steps: Readonly<Record<string, StepCounters>>
}
