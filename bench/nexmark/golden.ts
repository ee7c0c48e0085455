/** The measures of every query, in the order of the golden table, and what they must be. See `measures.ts`. */
import { cells, sumOf, sums } from './measures.ts'
import type { PassedBid } from './q0.ts'
import type { ConvertedBid } from './q1.ts'
import type { SelectedBid } from './q2.ts'
import type { LocalItem } from './q3.ts'
import type { CategoryAverage } from './q4.ts'
import type { HotAuction } from './q5.ts'
import type { HighBid } from './q7.ts'
import type { NewSeller } from './q8.ts'
import type { WinningBid } from './q9.ts'
import type { BidderSession } from './q11.ts'
import type { BidderCount } from './q12.ts'
import type { AuctionDay } from './q17.ts'
import type { LastBid } from './q18.ts'
import type { RankedBid } from './q19.ts'
import type { ExpandedBid } from './q20.ts'

const one = (): number => 1

export const tables = {
  q0: sums<PassedBid>(
    {
      'sum auction': (row) => row.auction,
      'sum bidder': (row) => row.bidder,
      'sum price': (row) => row.price,
      'sum len(extra)': (row) => row.extra.length,
    },
    ['28476981006', '10895172556', '6644876697827', '62097975'],
  ),
  q1: sums<ConvertedBid>({ 'sum price*908': (row) => row.price }, ['6033548041626916']),
  q2: sums<SelectedBid>({ rows: one, 'sum price': (row) => row.price }, ['6763', '48966781929']),
  q3: sums<LocalItem>({ rows: one, 'sum auction id': (row) => row.id }, ['5878', '190676403']),
  q4: cells<CategoryAverage>(
    1,
    { category: (row) => row.category, n: (row) => row.n, sum: (row) => row.sum, avg: (row) => row.average },
    (rows) => [...rows].sort((a, b) => a[0] - b[0]).flatMap((row) => row.map(BigInt)),
    // biome-ignore format: a line per category
    [
      '10', '11084', '323803569594', '29213602',
      '11', '11155', '326930242382', '29307955',
      '12', '11310', '324704247327', '28709482',
      '13', '11310', '331725304216', '29330265',
      '14', '11107', '320385609559', '28845377',
    ],
  ),
  q5: cells<HotAuction>(
    0,
    { end: (row) => row.end, num: (row) => row.num, auction: (row) => row.auction },
    (rows) => [BigInt(new Set(rows.map((row) => row[0])).size), BigInt(rows.length), sumOf(rows, 1), sumOf(rows, 2)],
    ['54', '54', '44612', '1678600'],
  ),
  q7: sums<HighBid>({ rows: one, 'sum price': (row) => row.price, 'sum auction': (row) => row.auction }, [
    '10',
    '999857276',
    '319509',
  ]),
  q8: sums<NewSeller>({ rows: one, 'sum id': (row) => row.id }, ['8530', '91570485']),
  q9: sums<WinningBid>({ rows: one, 'sum id': (row) => row.id, 'sum price': (row) => row.price }, [
    '55966',
    '1735829740',
    '1627548973078',
  ]),
  q11: cells<BidderSession>(
    0,
    { bids: (row) => row.bidCount },
    (rows) => [BigInt(rows.length), sumOf(rows, 0), BigInt(rows.reduce((most, [bids]) => Math.max(most, bids), 0))],
    ['19912', '920000', '3537'],
  ),
  // With event time as the clock; in processing time the windows depend on when the bids come.
  q12: sums<BidderCount>({ groups: one }, ['27443']),
  q17: cells<AuctionDay>(
    2,
    {
      auction: (row) => row.auction,
      day: (row) => row.day,
      min: (row) => row.minPrice,
      max: (row) => row.maxPrice,
      avg: (row) => row.avgPrice,
    },
    (rows) => [BigInt(rows.length), sumOf(rows, 2), sumOf(rows, 3), sumOf(rows, 4)],
    ['59975', '3571647896', '2183040974587', '433798282994'],
  ),
  q18: sums<LastBid>({ rows: one, 'sum price': (row) => row.price, 'sum time': (row) => row.dateTime }, [
    '292694',
    '2108435311813',
    '420577408849574719',
  ]),
  q19: sums<RankedBid>(
    { rows: one, 'sum price': ({ row }) => row.price, 'sum price*rank': ({ row, rank }) => row.price * rank },
    ['441885', '3844565354389', '8052722663623'],
  ),
  q20: sums<ExpandedBid>({ rows: one, 'sum price': (row) => row.price, 'sum auction': (row) => row.auction }, [
    '176517',
    '1270543622056',
    '5427660660',
  ]),
} as const

export type Query = keyof typeof tables
