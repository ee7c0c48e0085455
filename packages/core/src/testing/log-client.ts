/**
 * What a log must offer to be run against `logContract`: the smallest client of topics, groups and transactions. The
 * embedded log has this shape itself; a client of another log is adapted to it.
 */
import type { Duration } from '../time/duration.ts'

export interface LogClient {
  readonly admin: LogClientAdmin
  /** With a transactional id, fences every earlier producer that has it. */
  producer(options?: { readonly transactionalId?: string }): Promise<LogClientProducer>
  consumer(options: LogClientConsumerOptions): Promise<LogClientConsumer>
  close(): Promise<void>
}

export interface LogClientAdmin {
  createTopic(
    name: string,
    options?: {
      readonly partitions?: number
      readonly retention?: Duration | 'forever'
      readonly retentionBytes?: number
      readonly compact?: boolean
    },
  ): Promise<void>
  listTopics(): Promise<readonly string[]>
  describe(name: string): Promise<{
    /** `first` is the offset of the first record that is left, `next` that of the one to come. */
    readonly partitions: readonly { readonly partition: number; readonly first: number; readonly next: number }[]
  }>
  /** Resolves to the first offset that is left. */
  deleteRecords(topic: string, partition: number, before: number): Promise<number>
  /** Of each partition the first offset whose record is of `time` (ms since the epoch) or later; its end when none is. */
  offsetsForTimes(
    topic: string,
    time: number,
  ): Promise<readonly { readonly partition: number; readonly offset: number }[]>
  /** What a group has committed: the offset of the next record to read. */
  offsets(
    group: string,
  ): Promise<readonly { readonly topic: string; readonly partition: number; readonly committed: number }[]>
}

export interface LogClientRecord {
  readonly topic: string
  readonly key?: string | Uint8Array | null
  readonly value: string | Uint8Array | null
  readonly headers?: Readonly<Record<string, string | Uint8Array>>
  readonly timestamp?: number
  readonly partition?: number
}

export interface LogClientProducer {
  /** Resolves when the records are durable; in a transaction, when they are taken. */
  send(records: readonly LogClientRecord[]): Promise<
    readonly {
      readonly topic: string
      readonly partition: number
      /** May be undefined in a transaction. */
      readonly offset: number | undefined
    }[]
  >
  begin(): Promise<void>
  /** The consumer's positions become committed with the transaction. */
  sendOffsets(consumer: LogClientConsumer): Promise<void>
  commit(): Promise<void>
  abort(): Promise<void>
  close(): Promise<void>
}

export interface LogClientConsumerOptions {
  readonly topics: readonly string[]
  readonly group?: string
  /** Default 'earliest'. */
  readonly from?: 'earliest' | 'latest'
  readonly lease?: Duration
}

export interface LogClientConsumer {
  /** Records in order per partition, of committed transactions only; empty when none came within `wait`. */
  poll(options?: { readonly maxRecords?: number; readonly wait?: Duration }): Promise<
    readonly {
      readonly topic: string
      readonly partition: number
      readonly offset: number
      readonly timestamp: number
      readonly key: Uint8Array | null
      readonly value: Uint8Array | null
      readonly headers: readonly { readonly name: string; readonly value: Uint8Array }[]
    }[]
  >
  /** The group goes on behind what `poll` has returned. Rejects when the partitions went to others. */
  commit(): Promise<void>
  seek(topic: string, partition: number, offset: number): Promise<void>
  assignment(): readonly { readonly topic: string; readonly partition: number }[]
  close(): Promise<void>
}
