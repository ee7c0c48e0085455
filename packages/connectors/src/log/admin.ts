/** Topics and groups: asks the reader, has the writer change them. */
import { positiveDurationMs, UsageError } from 'millrace/connector'
import type { Beginning, GroupOffset, LogAdmin, TopicDescription, TopicOptions } from './client.ts'
import type { LogParts } from './log.ts'
import { checkName, checkTime, wholeNumber } from './names.ts'

const PARTITIONS_MAX = 1024

export class Admin implements LogAdmin {
  readonly #log: LogParts

  constructor(log: LogParts) {
    this.#log = log
  }

  async createTopic(name: string, options: TopicOptions = {}): Promise<void> {
    await this.#create(name, options, false)
  }

  async ensureTopic(name: string, options: TopicOptions = {}): Promise<void> {
    if (!this.#log.reader.topics().some((topic) => topic.name === name)) await this.#create(name, options, true)
  }

  async deleteTopic(name: string): Promise<void> {
    await this.#log.writer.request('deleteTopic', { name })
  }

  async listTopics(): Promise<string[]> {
    return this.#log.reader.topics().map((topic) => topic.name)
  }

  async describe(name: string): Promise<TopicDescription> {
    const { reader } = this.#log
    const partitions = reader.partitions(name).map(({ id: _, ...place }) => place)
    const topic = reader.topics().find((row) => row.name === name)
    if (topic === undefined) return this.describe(name)
    return { ...topic, partitions }
  }

  async deleteRecords(topic: string, partition: number, before: number): Promise<number> {
    wholeNumber('before', before, 0, Number.MAX_SAFE_INTEGER)
    const id = this.#partition(topic, partition)
    for (;;) {
      const { first, isDone } = await this.#log.writer.request('deleteRecords', { partition: id, before })
      if (isDone) return first
    }
  }

  async offsetsForTimes(
    topic: string,
    time: number,
  ): Promise<{ readonly partition: number; readonly offset: number }[]> {
    checkTime(time)
    const { reader } = this.#log
    return reader.partitions(topic).map(({ id, partition }) => ({ partition, offset: reader.offsetForTime(id, time) }))
  }

  async listGroups(): Promise<{ readonly name: string; readonly generation: number; readonly members: number }[]> {
    return this.#log.reader.groups()
  }

  async offsets(group: string): Promise<GroupOffset[]> {
    return this.#log.reader.committed(group).map(({ topic, partition, committed, next }) => ({
      topic,
      partition,
      committed,
      lag: Math.max(0, next - committed),
    }))
  }

  async resetOffsets(group: string, topic: string, to: Beginning | number): Promise<void> {
    checkName('group', group)
    const { reader } = this.#log
    const offsets = reader.partitions(topic).map((place) => {
      const { id, first, next } = place
      const wanted = typeof to === 'number' ? Math.max(first, Math.min(next, to)) : reader.beginning(place, to)
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
