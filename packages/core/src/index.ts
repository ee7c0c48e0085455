/** The public API of `millrace`. Exported here means promised. */
export type { Batch, Origin } from './batch/batch.ts'
export type { Key, KeyPart } from './batch/key.ts'
export {
  type BatchCapacity,
  type Capacity,
  type CapacityComparison,
  type CapacityLimits,
  type CapacityOptions,
  capacity,
  pointLatencyMs,
  type QueueGrowth,
  type StreamCapacity,
} from './capacity/capacity.ts'
export type { Position, Sink, Source } from './connector.ts'
export {
  Dataflow,
  dataflow,
  type EventTimeOptions,
  type ProcessingTimeOptions,
  type SourceOptions,
} from './dataflow.ts'
export { type ErrorDetails, InvariantError, MillraceError, OperationalError, UsageError } from './errors.ts'
export { dlq, retry } from './graph/error-policy.ts'
export type { Buffer, DeadLetter, ErrorPolicy, FullPolicy, OnError } from './graph/node.ts'
export type { CommitEvent, JobEvent, RunReport } from './runtime/job-contract.ts'
export type { Run, RunOptions } from './runtime/run.ts'
export { type CodecOptions, codec } from './state/codec.ts'
export type { Codec } from './state/table.ts'
export {
  type InlineOptions,
  KeyedStepStream,
  KeyedStream,
  StepStream,
  Stream,
  TableStream,
  WindowedAllStream,
  WindowedStream,
} from './stream.ts'
export { type Duration, durationMs } from './time/duration.ts'
export { aggregate, count, max, mean, min, stddev, sum, variance } from './window/aggregates.ts'
export { collect, distinct, first, last, reduce, topN } from './window/aggregates-rows.ts'
export { quantile } from './window/quantile.ts'
export type { Aggregate, Pane, WindowBounds, WindowOptions, WindowSpec } from './window/types.ts'
export { presets, type WindowingOptions, windowing } from './window/windowing.ts'
export {
  countWindow,
  everyCount,
  everyTime,
  globalWindow,
  hopping,
  onEnd,
  session,
  sliding,
  tumbling,
  when,
} from './window/windows.ts'
