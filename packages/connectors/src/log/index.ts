/** The embedded log: topics, partitions, groups and transactions in a folder: `@millrace/connectors/log`. */
export type {
  Beginning,
  Consumer,
  ConsumerOptions,
  GroupOffset,
  Log,
  LogAdmin,
  PollOptions,
  Producer,
  ProducerOptions,
  RecordToSend,
  SentRecord,
  TopicDescription,
  TopicOptions,
} from './client.ts'
export type { EncodedRecord, FormatName, RecordFormat } from './formats.ts'
export { type LogOptions, openLog } from './log.ts'
export type { TopicSinkState } from './log-sink.ts'
export { type LogTopicOptions, logTopic, type TopicConnector } from './log-topic.ts'
export { murmur2, partitionOf } from './murmur2.ts'
export type { Strategy } from './protocol.ts'
export type { LogHeader, LogRecord } from './records.ts'
