/** The public testing kit: `millrace/testing`. */

export { nodeDisk } from '../runtime/node-disk.ts'
export { arraySink } from './array-sink.ts'
export { type ArraySourceOptions, arraySource } from './array-source.ts'
export type { ContractCheck } from './contract.ts'
export type {
  LogClient,
  LogClientAdmin,
  LogClientConsumer,
  LogClientConsumerOptions,
  LogClientProducer,
  LogClientRecord,
} from './log-client.ts'
export { type LogContractOptions, type LogFixture, logContract } from './log-contract.ts'
export { type LogContractProcess, type LogKillsOptions, type LogKillsReport, logUnderKills } from './log-kills.ts'
export {
  type CreateOperator,
  type EmittedRow,
  type OperatorHost,
  type OperatorHostOptions,
  openOperator,
  type TimedRow,
} from './operator-host.ts'
export type { Fault, FaultPlan } from './sim-faults.ts'
export { type SeededRandom, seededRandom } from './sim-random.ts'
export { type RunEnd, type SimProcess, SimScheduler } from './sim-scheduler.ts'
export {
  type SimDecorators,
  type SimFlow,
  type SimulateOptions,
  type Simulation,
  type SimWorld,
  type SiteCount,
  simulate,
} from './simulate.ts'
export { type SinkContractOptions, type SinkFixture, sinkContract } from './sink-contract.ts'
export { type SourceContractOptions, type SourceFixture, sourceContract } from './source-contract.ts'
export { type FlowSnapshot, type TestFlow, type TestFlowOptions, testFlow } from './test-flow.ts'
export { advance, at, end, input, settle, type TimelineItem, watermark } from './timeline.ts'
export { type ExpectedOutput, type ExpectOptions, type VerifyOptions, verifyOperator } from './verify-operator.ts'
