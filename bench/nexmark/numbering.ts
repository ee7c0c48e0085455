/**
 * Which event is what: of 50 events 1 is a person, 3 are auctions, 46 are bids, always in the same places. So the event
 * number of the n-th bid is known without making the ones before it.
 *
 * Ids begin at 2: the first event is an auction, and person 1000 and auction 1000 never exist, though they are referred to.
 */

export type EventKind = 'person' | 'auction' | 'bid'

export const EPOCH = 50

interface Places {
  /** Per epoch. */
  readonly count: number
  /** Id of the first one in an epoch, less 50 times the epoch. */
  readonly offset: number
  /** How many of the first epoch have ids below 2. */
  readonly missing: number
}

const places: Readonly<Record<EventKind, Places>> = {
  person: { count: 1, offset: 0, missing: 1 },
  auction: { count: 3, offset: 1, missing: 1 },
  bid: { count: 46, offset: 4, missing: 0 },
}

/** Id of event `k`, 0 being the first. */
export function idOf(k: number): number {
  return k + 2
}

/** Kind of event `k`. */
export function kindOf(k: number): EventKind {
  const offset = idOf(k) % EPOCH
  return offset === 0 ? 'person' : offset <= 3 ? 'auction' : 'bid'
}

/** Event number of the `n`-th of a kind, 0 being the first. */
export function eventOf(kind: EventKind, n: number): number {
  const { count, offset, missing } = places[kind]
  const at = n + missing
  return Math.floor(at / count) * EPOCH + offset + (at % count) - 2
}

/** How many of a kind there are among the first `events` events. */
export function countOf(kind: EventKind, events: number): number {
  const { count, offset, missing } = places[kind]
  const ids = events + 2
  const inLastEpoch = Math.min(count, Math.max(0, (ids % EPOCH) - offset))
  return Math.max(0, Math.floor(ids / EPOCH) * count + inLastEpoch - missing)
}

/** Number of the last person made up to event `id`, 0 being the first. */
export function lastPerson(id: number): number {
  return Math.floor(id / EPOCH)
}

export function lastAuction(id: number): number {
  const epoch = Math.floor(id / EPOCH)
  const offset = id % EPOCH
  if (offset === 0) return 3 * (epoch - 1) + 2
  return offset <= 3 ? 3 * epoch + offset - 1 : 3 * epoch + 2
}
