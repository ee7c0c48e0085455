/** What can be asked of a log and changed in it besides records: topics, groups. */
import { type Duration, positiveDurationMs, UsageError } from 'millrace/connector'
import type { LogParts } from './log.ts'
import { checkName, wholeNumber } from './names.ts'

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

const PARTITIONS_MAX = 1024

export class LogAdmin {
  readonly #log: LogParts

  constructor(log: LogParts) {
    this.#log = log
  }

  /** @throws UsageError `LOG_TOPIC_EXISTS`, `LOG_NAME`, `LOG_OPTION`, `DURATION` */
  async createTopic(name: string, options: TopicOptions = {}): Promise<void> {
    await this.#create(name, options, false)
  }

  /** Makes the topic when there is none; one that exists stays as it is. */
  async ensureTopic(name: string, options: TopicOptions = {}): Promise<void> {
    if (!this.#log.reader.topics().some((topic) => topic.name === name)) await this.#create(name, options, true)
  }

  /** Removes a topic, its records and what groups have committed for it. @throws OperationalError `LOG_TOPIC_UNKNOWN` */
  async deleteTopic(name: string): Promise<void> {
    await this.#log.writer.request('deleteTopic', { name })
  }

  async listTopics(): Promise<string[]> {
    return this.#log.reader.topics().map((topic) => topic.name)
  }

  /** @throws OperationalError `LOG_TOPIC_UNKNOWN` */
  async describe(name: string): Promise<TopicDescription> {
    const { reader } = this.#log
    const partitions = reader.partitions(name).map(({ id: _, ...place }) => place)
    const topic = reader.topics().find((row) => row.name === name)
    if (topic === undefined) return this.describe(name)
    return { ...topic, partitions }
  }

  /** Removes the records of a partition before an offset. Resolves to the offset of the first one that is left. */
  async deleteRecords(topic: string, partition: number, before: number): Promise<number> {
    wholeNumber('before', before, 0, Number.MAX_SAFE_INTEGER)
    const id = this.#partition(topic, partition)
    for (;;) {
      const { first, isDone } = await this.#log.writer.request('deleteRecords', { partition: id, before })
      if (isDone) return first
    }
  }

  async listGroups(): Promise<{ readonly name: string; readonly generation: number; readonly members: number }[]> {
    return this.#log.reader.groups()
  }

  /** What a group has committed. */
  async offsets(group: string): Promise<GroupOffset[]> {
    return this.#log.reader.committed(group).map(({ topic, partition, committed, next }) => ({
      topic,
      partition,
      committed,
      lag: Math.max(0, next - committed),
    }))
  }

  /**
   * Sets where a group goes on in a topic. Refused while the group has members.
   * @throws OperationalError `LOG_GROUP_ACTIVE`, `LOG_TOPIC_UNKNOWN`
   */
  async resetOffsets(group: string, topic: string, to: 'earliest' | 'latest' | number): Promise<void> {
    checkName('group', group)
    const offsets = this.#log.reader.partitions(topic).map(({ id, first, next }) => {
      const wanted = to === 'earliest' ? first : to === 'latest' ? next : Math.max(first, Math.min(next, to))
      return { partition: id, next: wanted, generation: 0 }
    })
    await this.#log.writer.request('commitOffsets', { group, member: undefined, offsets })
  }

  async #create(name: string, options: TopicOptions, mayExist: boolean): Promise<void> {
    const { partitions = 1, retentionBytes, compact = false, tombstones = '24h' } = options
    const retention = options.retention ?? (compact ? 'forever' : '7d')
    await this.#log.writer.request('createTopic', {
      name: checkName('topic', name),
      settings: {
        partitions: wholeNumber('partitions', partitions, 1, PARTITIONS_MAX),
        retentionMs: retention === 'forever' ? null : positiveDurationMs(retention, 'retention'),
        retentionBytes:
          retentionBytes === undefined
            ? null
            : wholeNumber('retentionBytes', retentionBytes, 1, Number.MAX_SAFE_INTEGER),
        compact,
        tombstoneMs: positiveDurationMs(tombstones, 'tombstones'),
      },
      mayExist,
    })
  }

  #partition(topic: string, partition: number): number {
    const found = this.#log.reader.partitions(topic).find((place) => place.partition === partition)
    if (found !== undefined) return found.id
    throw unknownPartition(topic, partition)
  }
}

export function unknownPartition(topic: string, partition: number): UsageError {
  return new UsageError('LOG_PARTITION_UNKNOWN', `topic "${topic}" has no partition ${partition}.`, {
    data: { topic, partition },
  })
}
