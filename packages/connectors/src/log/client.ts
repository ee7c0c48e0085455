/** What users of a log hold: the log, its admin, producers and consumers. */
import type { Duration } from 'millrace/connector'
import type { Strategy } from './protocol.ts'
import type { LogRecord } from './records.ts'

export interface Log {
  readonly folder: string
  readonly admin: LogAdmin
  /** @throws UsageError `LOG_NAME`; OperationalError as `openLog` */
  producer(options?: ProducerOptions): Promise<Producer>
  /** @throws UsageError `LOG_NAME`, `LOG_OPTION`, `DURATION` */
  consumer(options: ConsumerOptions): Promise<Consumer>
  /** Closes producers and consumers, too. */
  close(): Promise<void>
}

/** What can be asked of a log and changed in it besides records: topics, groups. */
export interface LogAdmin {
  /** @throws UsageError `LOG_TOPIC_EXISTS`, `LOG_NAME`, `LOG_OPTION`, `DURATION` */
  createTopic(name: string, options?: TopicOptions): Promise<void>
  /** Makes the topic when there is none; one that exists stays as it is. */
  ensureTopic(name: string, options?: TopicOptions): Promise<void>
  /** Removes a topic, its records and what groups and sinks remember of it. @throws OperationalError `LOG_TOPIC_UNKNOWN` */
  deleteTopic(name: string): Promise<void>
  listTopics(): Promise<string[]>
  /** @throws OperationalError `LOG_TOPIC_UNKNOWN` */
  describe(name: string): Promise<TopicDescription>
  /** Removes the records of a partition before an offset. Resolves to the offset of the first one that is left. */
  deleteRecords(topic: string, partition: number, before: number): Promise<number>
  /**
   * Of each partition the first offset whose record is of `time` (ms since the epoch) or later; its end when none is.
   * Timestamps are those of the records and may come in any order.
   * @throws OperationalError `LOG_TOPIC_UNKNOWN`; UsageError `LOG_OPTION`
   */
  offsetsForTimes(topic: string, time: number): Promise<{ readonly partition: number; readonly offset: number }[]>
  listGroups(): Promise<{ readonly name: string; readonly generation: number; readonly members: number }[]>
  /** What a group has committed. */
  offsets(group: string): Promise<GroupOffset[]>
  /**
   * Sets where a group goes on in a topic. Refused while the group has members.
   * @throws OperationalError `LOG_GROUP_ACTIVE`, `LOG_TOPIC_UNKNOWN`
   */
  resetOffsets(group: string, topic: string, to: Beginning | number): Promise<void>
}

/** Appends records; to be used by one writer at a time where the order between calls matters. */
export interface Producer {
  /** Bytes of records that were taken and are not on the disk yet. Above 32 MiB `send` waits before it takes more. */
  readonly waitingBytes: number
  /**
   * Appends records, in order per partition. Resolves when they are on the disk; in a transaction, when it has taken them.
   * @throws OperationalError `LOG_TOPIC_UNKNOWN`, `LOG_FENCED`, `LOG_DISK`, `LOG_BUSY`, `LOG_TRANSACTION_LARGE`
   * @throws UsageError `LOG_RECORD`, `LOG_PARTITION_UNKNOWN`, `LOG_TRANSACTION`
   */
  send(records: RecordToSend | readonly RecordToSend[]): Promise<SentRecord[]>
  /** @throws UsageError `LOG_TRANSACTION` without a transactional id, or in a transaction */
  begin(): Promise<void>
  /**
   * The positions of a consumer's partitions become committed together with this transaction's records.
   * @throws OperationalError `LOG_GENERATION` when partitions of records that `poll` returned have gone to others since
   */
  sendOffsets(consumer: Consumer): Promise<void>
  /**
   * Makes the transaction's records and offsets visible, all at once. When it fails nothing of it is visible, and the
   * consumers go back behind their last commit; unless the error is retryable: then it is unknown, and reading the
   * group's offsets tells.
   * @throws OperationalError `LOG_FENCED`, `LOG_GENERATION`, `LOG_MEMBER_UNKNOWN`, `LOG_TOPIC_UNKNOWN`, `LOG_DISK`
   */
  commit(): Promise<void>
  /** Forgets the transaction's records and offsets. Consumers go on where they are: `seek` goes back. */
  abort(): Promise<void>
  /** Waits for what was sent. A transaction that has begun is aborted. */
  close(): Promise<void>
}

/** Reads records: alone, or as a member of a group that shares the partitions of its topics. */
export interface Consumer {
  /** Records that retention removed before they were read. */
  readonly skipped: number
  /**
   * The next records, in order per partition; empty when none came in time. In a group, also where partitions are taken
   * over and let go of.
   * @throws OperationalError `LOG_TOPIC_UNKNOWN`, `LOG_DAMAGED`, `LOG_DISK`, `LOG_CLOSED`
   */
  poll(options?: PollOptions): Promise<LogRecord[]>
  /**
   * The group goes on behind what `poll` has returned so far.
   * @throws OperationalError `LOG_GENERATION`, `LOG_MEMBER_UNKNOWN`: others read some of it again, and nothing was
   * committed: `poll` goes on behind the last commit; UsageError without a group
   */
  commit(): Promise<void>
  /** Partitions this consumer reads. */
  assignment(): { readonly topic: string; readonly partition: number; readonly position: number }[]
  /** Goes on at another offset. @throws UsageError `LOG_PARTITION_UNKNOWN` when this consumer does not read the partition */
  seek(topic: string, partition: number, offset: number): Promise<void>
  /** Leaves the group; what was not committed is read again by others. */
  close(): Promise<void>
}

export interface TopicOptions {
  /** Default 1. Fixed for the life of the topic. */
  readonly partitions?: number
  /** How long records stay after they were appended, whatever their timestamps say. Default '7d', for compacted topics 'forever'. */
  readonly retention?: Duration | 'forever'
  /** Bytes a partition may hold; the oldest records go first. Default: no limit. */
  readonly retentionBytes?: number
  /** Only the newest record of each key stays. Default false. */
  readonly compact?: boolean
  /** How long the tombstone of a key stays in a compacted topic, for readers to see it. Default '24h'. */
  readonly tombstones?: Duration
}

export interface TopicDescription {
  readonly name: string
  readonly retentionMs: number | null
  readonly retentionBytes: number | null
  readonly compact: boolean
  readonly partitions: readonly {
    readonly partition: number
    /** Offset of the first record that is left. */
    readonly first: number
    /** Offset of the next record to come. */
    readonly next: number
    readonly bytes: number
  }[]
}

export interface GroupOffset {
  readonly topic: string
  readonly partition: number
  /** Offset of the next record the group reads. */
  readonly committed: number
  readonly lag: number
}

export interface ProducerOptions {
  /** Gives transactions. A later producer with the same id fences this one, also in another process. */
  readonly transactionalId?: string
}

export interface RecordToSend {
  readonly topic: string
  /** Records with equal keys lie in one partition, in order. Without a key they are spread. */
  readonly key?: string | Uint8Array | null
  /** Null is a tombstone. */
  readonly value: string | Uint8Array | null
  readonly headers?: Readonly<Record<string, string | Uint8Array>>
  /** Milliseconds since the epoch. Default: now. */
  readonly timestamp?: number
  /** Default: by the key, as Kafka's clients do (murmur2). */
  readonly partition?: number
}

export interface SentRecord {
  readonly topic: string
  readonly partition: number
  /** Undefined in a transaction, where it is known only after the commit. */
  readonly offset: number | undefined
}

/** The first record that is left, the next to come, or the first of this time (ms since the epoch) or later. */
export type Beginning = 'earliest' | 'latest' | { readonly time: number }

export interface ConsumerOptions {
  readonly topics: readonly string[]
  /** Shares the topics' partitions with the group's other members, and remembers what was committed. */
  readonly group?: string
  /** Where to begin in a partition without a committed offset. Default 'earliest'. */
  readonly from?: Beginning
  /** A member that was not heard of for this long has died. Default '10s'. */
  readonly lease?: Duration
  /** How long a member may take to let go of a partition that another one shall read. Default '30s'. */
  readonly revokeWithin?: Duration
  /** Default 'range'. */
  readonly strategy?: Strategy
  /** Commits, at the beginning of each `poll`, what the one before it returned. Default false: call `commit`. */
  readonly autoCommit?: boolean
  /** Called in `poll` before partitions go to another member: the last moment to commit what was read from them. */
  readonly onRevoked?: (partitions: readonly { topic: string; partition: number }[]) => Promise<void> | void
}

export interface PollOptions {
  /** Default 500. */
  readonly maxRecords?: number
  /** How long to wait for a first record. Default '1s'; '0ms' looks once. */
  readonly wait?: Duration
  readonly signal?: AbortSignal
}
