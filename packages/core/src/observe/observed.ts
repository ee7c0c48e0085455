/**
 * What the observer needs of a job and its plan. The engine's own types fit these shapes; naming them here keeps
 * `millrace/observe` free of the engine, so that a page in a browser can import it.
 */
export interface ObservedNode {
  readonly id: number
  readonly name: string
  readonly isNamed: boolean
  readonly kind: string
  readonly at: string | undefined
  readonly determinism: 'deterministic' | 'timed'
  readonly inputs: readonly {
    readonly from: { readonly id: number }
    readonly output: string
    readonly partitioning: string
  }[]
  readonly spec:
    | { readonly type: 'source'; readonly source: ObservedConnector; readonly options: ObservedSourceSettings }
    | { readonly type: 'inline'; readonly op: string }
    | { readonly type: 'operator'; readonly describe?: Readonly<Record<string, unknown>> }
    | { readonly type: 'sink'; readonly sink: ObservedConnector & { readonly guarantee: string } }
    | { readonly type: 'union' }
}

interface ObservedConnector {
  readonly kind: string
  readonly bounded?: boolean
  describe(): Readonly<Record<string, unknown>>
}

interface ObservedSourceSettings {
  readonly time: ((row: unknown) => number) | 'processing'
  readonly disorderMs: number
  readonly idleAfterMs: number | undefined
}

export interface ObservedPlan {
  readonly flow: string
  readonly hash: string
  readonly workers: number
  readonly nodes: readonly ObservedNode[]
  readonly stages: readonly {
    readonly id: number
    readonly nodes: readonly { readonly id: number }[]
    readonly parallel: 'all' | 'single'
  }[]
  readonly channels: readonly {
    readonly from: { readonly id: number }
    readonly output: string
    readonly to: { readonly id: number }
    readonly input: number
    readonly kind: 'queue' | 'key' | 'single' | 'broadcast'
    readonly capacity: number
    readonly whenFull: string
  }[]
}

/** Totals of one step over all workers; `runtime/metrics.ts` says what each counts. */
export interface ObservedCounters {
  readonly recordsIn: number
  readonly recordsOut: number
  readonly late: number
  readonly droppedFull: number
  readonly droppedExpired: number
  readonly droppedUnmatched: number
  readonly droppedThrottled: number
  readonly droppedSampled: number
  readonly droppedError: number
  readonly dead: number
  readonly retried: number
  readonly merged: number
  readonly filtered: number
  readonly deduplicated: number
  readonly held: number
  /** Held when the workers started. */
  readonly restored?: number
  /** Rows of side outputs that are no other counter's. */
  readonly sideOut?: number
  readonly busyMs: number
  readonly blockedMs: number
  readonly awaitMs: number
  readonly bytesOut: number
  readonly errors: number
  /** NaN: unknown. */
  readonly watermark: number
  readonly stateBytes: number
  readonly keys: number
  readonly queued: number
  readonly queueCapacity: number
  /** Beside the balance of records. */
  readonly lostDeliveries?: number
}

export interface ObservedPartition {
  readonly source: string
  readonly partition: string
  readonly position: unknown
  readonly watermark: number
  readonly lastRecordAtMs: number
  readonly isIdle: boolean
  readonly isEnded: boolean
  readonly isPausedByAlignment: boolean
  readonly lag: number | undefined
  readonly progress: number | undefined
  readonly rows: number
}

export interface ObservedJob {
  readonly options: { readonly plan: ObservedPlan; readonly commitEveryMs: number }
  /** By worker. */
  readonly partitions: readonly (readonly ObservedPartition[])[]
  /** What connectors report of themselves, by worker. */
  readonly gauges: readonly (readonly { readonly step: string; readonly name: string; readonly value: number }[])[]
  readonly loopLagMs: readonly number[]
  readonly lastCommitAt: number | undefined
  readonly commits: number
  readonly failedCommits: number
  readonly restarts: number
  readonly state: 'starting' | 'running' | 'stopping' | 'ended'
  stepCounters(nodeId: number): ObservedCounters
}

interface ObservedError {
  readonly code: string
  readonly step: string | undefined
  readonly message: string
}

export type ObservedEvent =
  | { readonly type: 'starting'; readonly attempt: number; readonly epoch: number }
  | { readonly type: 'running'; readonly attempt: number }
  | {
      readonly type: 'commit'
      readonly epoch: number
      readonly at: number
      readonly phases: Readonly<Record<string, number>>
      readonly bytes: number
    }
  | { readonly type: 'restart'; readonly error: ObservedError; readonly attempt: number; readonly delayMs: number }
  | {
      readonly type: 'log'
      readonly level: 'info' | 'warn' | 'error'
      readonly step: string
      readonly message: string
      readonly data?: Record<string, unknown>
    }
  | { readonly type: 'ended'; readonly outcome: 'finished' | 'stopped' | 'failed'; readonly error?: ObservedError }

/** Clock and timers, as `runtime/ports.ts` has them. */
export interface ObserverPorts {
  readonly clock: { now(): number; monotonic(): number }
  readonly scheduler: { after(ms: number, fn: () => void): () => void }
}

/** Rows a step gave up on, for whatever reason. */
export function droppedOf(c: ObservedCounters): number {
  return c.droppedFull + c.droppedExpired + c.droppedUnmatched + c.droppedThrottled + c.droppedSampled + c.droppedError
}
