/**
 * `millrace/observe`, version 1: the messages a running flow reports. The terminal, `--json`, recordings and the console
 * read these objects and nothing else.
 *
 * Rules:
 *  C1  Every message has a `type`, a `seq` without gaps per connection, and `at`, ms since the epoch at the server.
 *  C2  Step and edge indices refer to the last `plan` of the same `planHash`.
 *  C3  Numbers that grow (records, errors) are totals since the workers last started, so a reader that missed messages
 *      loses resolution and never counts wrongly. `attempt` says when they began again.
 *  C4  A column that is missing is not measured by this server; a null in it is unknown at the moment; neither is 0.
 *  C5  Minor versions add types and fields, readers ignore what they do not know.
 *  C6  Everything is JSON; times that are not known or have no end are null, except the watermark of an ended input,
 *      which is the text 'end'.
 */
export const OBSERVE_CONTRACT = '1.0'

/** Event time that has been reached: ms since the epoch, null before the first record, 'end' when nothing can follow. */
export type WatermarkValue = number | null | 'end'

export interface HelloMessage {
  readonly type: 'hello'
  readonly contract: string
  readonly server: string
  readonly flow: string
  readonly pid: number | null
  /** When the run was first observed, ms since the epoch. */
  readonly startedAt: number
  readonly limits: { readonly hz: number; readonly queueMessages: number; readonly sourcesMax: number }
  /** Types this server sends. */
  readonly features: readonly string[]
}

export interface PlanStep {
  readonly i: number
  readonly name: string
  readonly isNamed: boolean
  readonly kind: string
  readonly stage: number
  /** Instances that run at the same time, one per worker at most. */
  readonly tasks: number
  /** 'file.ts:12' of the call that made the step. */
  readonly at: string | null
  /** Sources only: where their event time comes from. */
  readonly time: 'event' | 'processing' | null
  /** Sources only: does it end by itself? */
  readonly bounded: boolean | null
  /** Does the step give the same output for the same input, whatever arrives when? */
  readonly order: 'deterministic' | 'timed'
  /** Sinks: what a crash leaves at the target. */
  readonly guarantee: 'exactly-once' | 'idempotent' | 'at-least-once' | null
  /** The first step of the loop this one is fused into; that step's busy time is the whole loop's. */
  readonly fusedWith: number | null
  /** Sources and sinks: the connector. */
  readonly connector: string | null
  /** Parameters worth reading: window sizes, paths, disorder. */
  readonly detail: Readonly<Record<string, unknown>>
}

/** 'fused': a function call inside a stage. 'queue': stays on its worker. The others redistribute between workers. */
export type PlanEdgeKind = 'fused' | 'queue' | 'key' | 'single' | 'broadcast'

export interface PlanEdge {
  readonly i: number
  readonly from: number
  readonly to: number
  /** 'out', or a side output such as 'late'. */
  readonly output: string
  readonly kind: PlanEdgeKind
  /** Records between two workers, null for fused edges. */
  readonly capacity: number | null
  readonly whenFull: string | null
}

export interface PlanMessage {
  readonly type: 'plan'
  readonly flow: string
  readonly planHash: string
  readonly workers: number
  readonly steps: readonly PlanStep[]
  readonly edges: readonly PlanEdge[]
}

/** One value per step, in step order. Shares are of one task's time over `interval`, 0 to 1. */
export interface SampleColumns {
  readonly recordsIn: readonly number[]
  readonly recordsOut: readonly number[]
  readonly bytesOut: readonly number[]
  readonly busy: readonly number[]
  readonly blocked: readonly number[]
  readonly await: readonly number[]
  readonly watermark: readonly WatermarkValue[]
  readonly stateBytes: readonly number[]
  readonly keys: readonly number[]
  readonly late: readonly number[]
  readonly dropped: readonly number[]
  readonly dead: readonly number[]
  readonly retried: readonly number[]
  readonly errors: readonly number[]
  /** Fill of the queue in front of the step, 0 to 1; null without a queue. */
  readonly queueFill: readonly (number | null)[]
}

export type FlowState = 'starting' | 'running' | 'stopping' | 'ended'

export interface SampleMessage {
  readonly type: 'sample'
  readonly flow: string
  readonly planHash: string
  readonly attempt: number
  readonly state: FlowState
  /** Ms since the sample before, 0 for the first. */
  readonly interval: number
  readonly cols: SampleColumns
}

export interface SourcePartition {
  readonly source: number
  readonly partition: string
  readonly position: unknown
  readonly watermark: WatermarkValue
  readonly lastRecordAt: number | null
  readonly idle: boolean
  readonly ended: boolean
  /** Waits for slower partitions, so that state stays small. */
  readonly pausedByAlignment: boolean
  /** Records behind the newest one, where the connector knows. */
  readonly lag: number | null
  /** Share of the partition that has been read, 0 to 1, where the connector knows. */
  readonly progress: number | null
  readonly records: number
  /** Steps whose event time waits for this partition. */
  readonly holds: readonly number[]
}

export interface SourcesMessage {
  readonly type: 'sources'
  readonly flow: string
  readonly planHash: string
  /** The ones furthest behind in event time first. */
  readonly partitions: readonly SourcePartition[]
  /** Partitions beyond the limit, added up. */
  readonly rest: { readonly partitions: number; readonly lag: number | null; readonly records: number } | null
  /** Over all partitions; null when a connector does not know. */
  readonly lag: number | null
  readonly progress: number | null
}

export interface CommitMessage {
  readonly type: 'commit'
  readonly flow: string
  /** The last epoch of those merged. */
  readonly epoch: number
  /** Epochs in this message; their bytes are added, their phases are the largest. */
  readonly n: number
  /** When the last of them became visible, ms since the epoch. */
  readonly committedAt: number
  readonly phases: Readonly<Record<string, number>>
  readonly bytes: number
  readonly outcome: 'committed'
}

/** in + copied + restored + made = out + aside + filtered + merged + late + dropped + dead + deduplicated + inFlight + remainder */
export interface BalanceParts {
  /** Records that arrived: at the step, or at the sources of the flow. */
  readonly in: number
  /** Held in state when the run started. */
  readonly restored: number
  /** Records a step made of those it merged: results of windows and joins. */
  readonly made: number
  readonly out: number
  /** Handed to side outputs such as the branches of a branch. */
  readonly aside: number
  readonly filtered: number
  readonly merged: number
  readonly late: number
  readonly dropped: number
  readonly dead: number
  readonly deduplicated: number
  /** In queues and in the state of steps, still to come out. */
  readonly inFlight: number
  /** Null while records move, since counters are read one after the other. Anything but 0 is a defect of ours. */
  readonly remainder: number | null
}

export interface StepBalance extends BalanceParts {
  readonly step: number
}

export interface BalanceMessage extends BalanceParts {
  readonly type: 'balance'
  readonly flow: string
  readonly planHash: string
  /** Records given to more than one reader, or to a side output that is read. */
  readonly copied: number
  readonly steps: readonly StepBalance[]
}

export type Severity = 'info' | 'warn' | 'error'

export interface ChangeMessage {
  readonly type: 'change'
  readonly flow: string
  readonly kind: 'starting' | 'running' | 'restart' | 'finished' | 'stopped' | 'failed'
  readonly severity: Severity
  readonly text: string
  readonly code: string | null
  readonly step: string | null
  readonly attempt: number
}

export interface LogMessage {
  readonly type: 'log'
  readonly flow: string
  readonly severity: Severity
  readonly step: string | null
  readonly code: string | null
  readonly text: string
  /** Lines like this one that are not sent, because there were too many. */
  readonly n: number
}

export interface DeadMessage {
  readonly type: 'dead'
  readonly flow: string
  readonly step: number
  /** Dead letters of the step since the workers started. */
  readonly count: number
  readonly added: number
}

export interface DroppedMessage {
  readonly type: 'dropped'
  /** Type of the messages that were not delivered. */
  readonly what: string
  readonly n: number
  readonly because: 'slow reader' | 'rate limit'
}

export type ObserveBody =
  | HelloMessage
  | PlanMessage
  | SampleMessage
  | SourcesMessage
  | CommitMessage
  | BalanceMessage
  | ChangeMessage
  | LogMessage
  | DeadMessage
  | DroppedMessage

export type ObserveType = ObserveBody['type']

/** A message as it is delivered. */
export type ObserveMessage = ObserveBody & { readonly seq: number; readonly at: number }

export const OBSERVE_TYPES: readonly ObserveType[] = [
  'hello',
  'plan',
  'sample',
  'sources',
  'commit',
  'balance',
  'change',
  'log',
  'dead',
  'dropped',
]
