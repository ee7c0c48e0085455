/** `millrace/observe`: the versioned event stream of a running flow, and pure functions over its messages. */
export { balanceMessage } from './balance.ts'
export { type CatchUp, catchUp, type LagPoint, type LimitingStep, limitingStep } from './bottleneck.ts'
export * from './contract.ts'
export { STALL_MS, type Stall, stalls, type WatermarkHolder, watermarkHolders } from './holders.ts'
export { type MetricFamily, type MetricSample, metricFamilies } from './metrics.ts'
export type {
  ObservedCounters,
  ObservedEvent,
  ObservedJob,
  ObservedNode,
  ObservedPartition,
  ObservedPlan,
  ObserverPorts,
} from './observed.ts'
export { Observer, type ObserverOptions } from './observer.ts'
export { planMessage } from './plan-message.ts'
export { planMermaid, planText } from './plan-text.ts'
export { Subscription } from './subscription.ts'
