/**
 * Input of a simulated flow: events in partitions, out of order within a bound, with skewed keys.
 *
 * No event is late for a correct engine: a partition's events lie less than `disorderMs` behind its newest one, and a
 * key stays in one partition. So the batch oracle is exact, and a wrong watermark shows as a difference.
 */
import type { SeededRandom } from 'millrace/testing'

export interface Event {
  /** Unique within a flow's input, unless it is a duplicate of the same event. */
  readonly id: number
  readonly key: string
  /** Event time; unique within a key and source. */
  readonly at: number
  readonly n: number
}

/** Events by source and partition, in arrival order. */
export type Input = Readonly<Record<string, Readonly<Record<string, readonly Event[]>>>>

export interface DataSettings {
  readonly partitions: number
  readonly events: number
  readonly keys: number
  readonly disorderMs: number
  /** Mean event time between two events of a partition. */
  readonly stepMs: number
  /** How far the partitions' clocks lie apart. */
  readonly apartMs: number
  /** True: the last partition is empty. */
  readonly hasEmptyPartition: boolean
  readonly duplicates: number
}

/** Before the simulated clock's start, so that no jump of an hour makes an event one of the future. */
const startMs = 1_699_900_000_000

export function drawInput(random: SeededRandom, sources: readonly string[], settings: DataSettings): Input {
  const ids = { next: 0 }
  return Object.fromEntries(sources.map((source) => [source, drawSource(random.fork(source), settings, ids)]))
}

/** All events of a source in one list, duplicates once, by time. */
export function eventsOf(input: Input, source: string): Event[] {
  const byId = new Map<number, Event>()
  for (const events of Object.values(input[source])) for (const event of events) byId.set(event.id, event)
  return [...byId.values()].sort((a, b) => a.at - b.at)
}

/** Events by key, each by time. */
export function byKey(events: readonly Event[]): Map<string, Event[]> {
  return Map.groupBy(events, (event) => event.key)
}

function drawSource(random: SeededRandom, settings: DataSettings, ids: { next: number }): Record<string, Event[]> {
  const { partitions, events, keys, hasEmptyPartition } = settings
  const filled = partitions - (hasEmptyPartition && partitions > 1 ? 1 : 0)
  const out: Record<string, Event[]> = {}
  for (let p = 0; p < partitions; p++) {
    out[`p${p}`] = p < filled ? drawPartition(random, settings, ids, p, Math.ceil(events / filled), keys) : []
  }
  return out
}

function drawPartition(
  random: SeededRandom,
  settings: DataSettings,
  ids: { next: number },
  partition: number,
  count: number,
  keys: number,
): Event[] {
  const { stepMs, disorderMs, apartMs, duplicates } = settings
  const used = new Set<string>()
  const events: { event: Event; arrival: number }[] = []
  let at = startMs + partition * apartMs
  for (let i = 0; i < count; i++) {
    at += Math.floor(-Math.log(1 - random.next()) * stepMs)
    // Half of the events have one key.
    const key = `${partition}-${random.chance(0.5) ? 0 : random.int(keys)}`
    let time = at
    while (used.has(`${key} ${time}`)) time++
    used.add(`${key} ${time}`)
    const event = { id: ids.next++, key, at: time, n: random.between(-5, 20) }
    events.push({ event, arrival: time + random.next() * disorderMs })
    if (random.chance(duplicates)) events.push({ event, arrival: time + random.next() * disorderMs })
  }
  return events.sort((a, b) => a.arrival - b.arrival).map(({ event }) => event)
}
