/**
 * What the queries must give, straight from their definitions (spec/nexmark.md section 8): plain loops over all events,
 * one window at a time. It shares the generator with the flows, and nothing else.
 */
import { type Auction, type Bid, type GeneratorOptions, NexmarkGenerator, type Person } from './generator.ts'
import type { Query } from './golden.ts'
import { kindOf } from './numbering.ts'

export interface Events {
  readonly persons: readonly Person[]
  readonly auctions: readonly Auction[]
  readonly bids: readonly Bid[]
}

/** All events in their order. */
export function eventsOf(count: number, options: GeneratorOptions = {}): Events {
  const generator = new NexmarkGenerator(options)
  const persons: Person[] = []
  const auctions: Auction[] = []
  const bids: Bid[] = []
  for (let k = 0; k < count; k++) {
    const kind = kindOf(k)
    if (kind === 'person') {
      generator.drawPerson(k)
      persons.push({ ...generator.person })
    } else if (kind === 'auction') {
      generator.drawAuction(k)
      auctions.push({ ...generator.auction })
    } else {
      generator.drawBid(k)
      bids.push({ ...generator.bid })
    }
  }
  return { persons, auctions, bids }
}

/** The rows of each query's final table, in any order. */
export const oracles: Readonly<Record<Query, (events: Events) => object[]>> = {
  q0: ({ bids }) => bids.map(passed),
  q1: ({ bids }) => bids.map((bid) => ({ ...passed(bid), price: bid.price * 908 })),
  q2: ({ bids }) => bids.filter(({ auction }) => auction % 123 === 0).map(({ auction, price }) => ({ auction, price })),
  q3: ({ persons, auctions }) =>
    auctions.flatMap((auction) => {
      const seller = persons.find(({ id }) => id === auction.seller)
      if (auction.category !== 10 || seller === undefined || !['OR', 'ID', 'CA'].includes(seller.state)) return []
      return [{ name: seller.name, city: seller.city, state: seller.state, id: auction.id }]
    }),
  q4: (events) => {
    const prices = new Map<number, number[]>()
    for (const [auction, bids] of validBids(events)) {
      push(prices, auction.category, Math.max(...bids.map(({ price }) => price)))
    }
    return [...prices].map(([category, highest]) => {
      const sum = highest.reduce((a, b) => a + b)
      return { category, n: highest.length, sum, average: Math.trunc(sum / highest.length) }
    })
  },
  q5: ({ bids }) =>
    windows(bids, 10_000, 2_000).flatMap(({ start, end, rows }) => {
      const counts = countsBy(rows, ({ auction }) => auction)
      const most = Math.max(...counts.values())
      return [...counts].filter(([, num]) => num === most).map(([auction, num]) => ({ auction, num, start, end }))
    }),
  q7: ({ bids }) => highest(bids),
  q8: ({ persons, auctions }) =>
    windows(persons, 10_000, 10_000).flatMap(({ start, end, rows }) => {
      const sellers = new Set(
        auctions.filter(({ dateTime }) => dateTime >= start && dateTime < end).map(({ seller }) => seller),
      )
      return rows.filter(({ id }) => sellers.has(id)).map(({ id, name }) => ({ id, name, start }))
    }),
  q9: (events) =>
    validBids(events).map(([{ event: _, ...opened }, bids]) => {
      // Bids are in order of time and arrival, and the sort keeps the order of equal ones.
      const [{ auction, bidder, price, dateTime, extra }] = [...bids].sort((a, b) => b.price - a.price)
      return { ...opened, auction, bidder, price, bidTime: dateTime, bidExtra: extra }
    }),
  q11: ({ bids }) =>
    [...groups(bids, ({ bidder }) => bidder)].flatMap(([bidder, own]) => {
      const sessions: { bidder: number; bidCount: number; start: number; end: number }[] = []
      for (const { dateTime } of own) {
        const open = sessions.at(-1)
        if (open !== undefined && dateTime <= open.end) {
          open.bidCount++
          open.end = dateTime + 10_000
        } else sessions.push({ bidder, bidCount: 1, start: dateTime, end: dateTime + 10_000 })
      }
      return sessions
    }),
  q12: ({ bids }) =>
    windows(bids, 10_000, 10_000).flatMap(({ start, end, rows }) =>
      [...countsBy(rows, ({ bidder }) => bidder)].map(([bidder, bidCount]) => ({ bidder, bidCount, start, end })),
    ),
  q17: ({ bids }) =>
    [...groups(bids, ({ auction, dateTime }) => `${auction} ${Math.floor(dateTime / 86_400_000)}`).values()].map(
      (own) => {
        const prices = own.map(({ price }) => price)
        const sumPrice = prices.reduce((a, b) => a + b)
        return {
          auction: own[0].auction,
          day: Math.floor(own[0].dateTime / 86_400_000) * 86_400_000,
          bids: own.length,
          low: prices.filter((price) => price < 10 ** 4).length,
          middle: prices.filter((price) => price >= 10 ** 4 && price < 10 ** 6).length,
          high: prices.filter((price) => price >= 10 ** 6).length,
          minPrice: Math.min(...prices),
          maxPrice: Math.max(...prices),
          avgPrice: Math.trunc(sumPrice / own.length),
          sumPrice,
        }
      },
    ),
  q18: ({ bids }) => [...new Map(bids.map((bid) => [`${bid.bidder} ${bid.auction}`, bid])).values()],
  // Of equal prices any order is right: only what the ranks are worth.
  q19: ({ bids }) =>
    [...groups(bids, ({ auction }) => auction)].flatMap(([auction, own]) => {
      const prices = own.map(({ price }) => price).sort((a, b) => b - a)
      return prices.slice(0, 10).map((price, i) => ({ auction, rank: i + 1, price }))
    }),
  q20: ({ auctions, bids }) => {
    const byId = new Map(auctions.map((auction) => [auction.id, auction]))
    return bids.flatMap(({ event: _, ...bid }) => {
      const auction = byId.get(bid.auction)
      if (auction?.category !== 10) return []
      const { itemName, description, initialBid, reserve, expires, seller, category } = auction
      const { dateTime: auctionTime, extra: auctionExtra } = auction
      const own = { itemName, description, initialBid, reserve, expires, seller, category, auctionTime, auctionExtra }
      return [{ ...bid, ...own }]
    })
  },
}

function passed({ auction, bidder, price, dateTime, extra }: Bid): object {
  return { auction, bidder, price, dateTime, extra }
}

/** q7: each window with the bids of [start, end], the end included. */
export function highest(bids: readonly Bid[]): object[] {
  return windows(bids, 10_000, 10_000).flatMap(({ start, end, rows }) => {
    const most = Math.max(...rows.map(({ price }) => price))
    return bids
      .filter(({ price, dateTime }) => price === most && dateTime >= start && dateTime <= end)
      .map((bid) => passed(bid))
  })
}

/** Auctions that have bids between their beginning and their end, both included, with those bids. */
function validBids({ auctions, bids }: Events): [Auction, Bid[]][] {
  const byAuction = groups(bids, ({ auction }) => auction)
  return auctions
    .map((auction): [Auction, Bid[]] => {
      const { dateTime: from, expires: to } = auction
      return [auction, (byAuction.get(auction.id) ?? []).filter(({ dateTime: at }) => at >= from && at <= to)]
    })
    .filter(([, own]) => own.length > 0)
}

interface Window<Row> {
  readonly start: number
  readonly end: number
  readonly rows: readonly Row[]
}

/** Windows that have rows. */
function windows<Row extends { readonly dateTime: number }>(
  rows: readonly Row[],
  sizeMs: number,
  slideMs: number,
): Window<Row>[] {
  const made: Window<Row>[] = []
  const first = Math.floor(rows[0].dateTime / slideMs) * slideMs - sizeMs + slideMs
  for (let start = first; start <= rows[rows.length - 1].dateTime; start += slideMs) {
    const end = start + sizeMs
    const inside = rows.filter(({ dateTime }) => dateTime >= start && dateTime < end)
    if (inside.length > 0) made.push({ start, end, rows: inside })
  }
  return made
}

function groups<Row, K>(rows: readonly Row[], by: (row: Row) => K): Map<K, Row[]> {
  const grouped = new Map<K, Row[]>()
  for (const row of rows) push(grouped, by(row), row)
  return grouped
}

function countsBy<Row, K>(rows: readonly Row[], by: (row: Row) => K): Map<K, number> {
  return new Map([...groups(rows, by)].map(([key, own]) => [key, own.length]))
}

function push<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key)
  if (list === undefined) lists.set(key, [value])
  else list.push(value)
}
