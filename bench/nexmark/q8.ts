/**
 * Nexmark q8, monitor new users: who opened an auction in the same 10 seconds in which he registered?
 *
 * Each side is reduced to one row per person and window first. Such a row has the time of its window's end, less 1 ms, so
 * the join finds it in the same window.
 */
import { count, dataflow, first, type Stream, tumbling } from 'millrace'
import type { Auction, Person } from './generator.ts'
import { results } from './results.ts'
import { auctions, persons } from './source.ts'
import { workload } from './workload.ts'

export interface NewSeller {
  readonly id: number
  readonly name: string
  /** Of the window. */
  readonly start: number
}

export function newSellers(
  persons: Stream<Pick<Person, 'id' | 'name'>>,
  auctions: Stream<Pick<Auction, 'seller'>>,
): Stream<NewSeller> {
  const window = tumbling('10s')
  const registered = persons
    .keyBy((person) => person.id)
    .window(window)
    .aggregate('new persons', { name: first((person) => person.name) })
  const sellers = auctions
    .keyBy((auction) => auction.seller)
    .window(window)
    .aggregate('sellers', { auctions: count() })
  return registered
    .keyBy(({ key }) => key)
    .join(
      'new sellers',
      sellers.keyBy(({ key }) => key),
      { window },
    )
    .map(({ key, left, window: { start } }) => ({ id: key, name: left.name, start }))
}

export const q8 = dataflow('nexmark-q8')

const registered = q8.source('persons', persons({ ...workload, fields: ['id', 'name', 'dateTime'] }), {
  ...{ time: (person) => person.dateTime, disorder: '4s', align: '10s' },
})
const opened = q8.source('auctions', auctions({ ...workload, fields: ['seller', 'dateTime'] }), {
  ...{ time: (auction) => auction.dateTime, disorder: '4s', align: '10s' },
})

newSellers(registered, opened).sink('results', results('q8'))
