/** Who reads what: the rule of a group, pure, so that whoever applies it comes to the same result. */
import type { Strategy } from './protocol.ts'

export interface Subscriber {
  readonly member: string
  readonly topics: readonly string[]
}

export interface TopicPartitions {
  readonly topic: string
  /** Ids, in the order of the partitions' numbers. */
  readonly partitions: readonly number[]
}

/**
 * Partition id -> member, for every partition that somebody subscribes to.
 * @example assign([{ member: 'a', topics: ['t'] }, { member: 'b', topics: ['t'] }], [{ topic: 't', partitions: [1, 2, 3] }], 'range') // => new Map([[1, 'a'], [2, 'a'], [3, 'b']])
 */
export function assign(
  subscribers: readonly Subscriber[],
  topics: readonly TopicPartitions[],
  strategy: Strategy,
): Map<number, string> {
  const sorted = [...subscribers].sort((a, b) => (a.member < b.member ? -1 : 1))
  const byName = [...topics].sort((a, b) => (a.topic < b.topic ? -1 : 1))
  const result = new Map<number, string>()
  let turn = 0
  for (const { topic, partitions } of byName) {
    const members = sorted.filter((s) => s.topics.includes(topic))
    if (members.length === 0) continue
    for (const [i, partition] of partitions.entries()) {
      const index =
        strategy === 'roundRobin' ? turn++ % members.length : rangeIndex(i, partitions.length, members.length)
      result.set(partition, members[index].member)
    }
  }
  return result
}

/** The first members get one partition more when they do not divide evenly. */
function rangeIndex(i: number, partitions: number, members: number): number {
  const share = Math.floor(partitions / members)
  const more = partitions % members
  const border = more * (share + 1)
  return i < border ? Math.floor(i / (share + 1)) : more + Math.floor((i - border) / share)
}
