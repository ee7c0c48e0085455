/**
 * Nexmark q3, local item suggestion: who in Oregon, Idaho or California sells something of category 10, and what?
 *
 * A join without bounds in time: the person may register long before the auction, or after it, since sellers are
 * referred to before they exist. The joins of the API keep rows for a stated time only, so that their state ends, which is
 * why this is a step of its own: per seller the person, who registers once, or the auctions that wait for him.
 */
import { dataflow, type Stream } from 'millrace'
import type { Auction, Person } from './generator.ts'
import { results } from './results.ts'
import { auctions, persons } from './source.ts'
import { workload } from './workload.ts'

type Seller = Pick<Person, 'id' | 'name' | 'city' | 'state'>
type Item = Pick<Auction, 'id' | 'seller' | 'category'>

/** `id` is the auction's. */
export interface LocalItem {
  readonly name: string
  readonly city: string
  readonly state: string
  readonly id: number
}

export function localItems(persons: Stream<Seller>, auctions: Stream<Item>): Stream<LocalItem> {
  const local = persons.filter(({ state }) => state === 'OR' || state === 'ID' || state === 'CA').keyBy(({ id }) => id)
  const items = auctions.filter(({ category }) => category === 10).keyBy(({ seller }) => seller)
  return local.processWith<Item, LocalItem>('seller and items', items, (setup) => {
    const seller = setup.value<Omit<LocalItem, 'id'>>('seller')
    const waiting = setup.list<number>('items without seller')
    return {
      onRecord({ name, city, state }, ctx) {
        seller.set({ name, city, state })
        for (const id of waiting.get()) ctx.emit({ name, city, state, id })
        waiting.clear()
      },
      onRecord2({ id }, ctx) {
        const known = seller.get()
        if (known === undefined) waiting.append(id)
        else ctx.emit({ ...known, id })
      },
    }
  })
}

export const q3 = dataflow('nexmark-q3')

const registered = q3.source('persons', persons({ ...workload, fields: ['id', 'name', 'city', 'state', 'dateTime'] }), {
  ...{ time: (person) => person.dateTime, disorder: '4s', align: '10s' },
})
const opened = q3.source('auctions', auctions({ ...workload, fields: ['id', 'seller', 'category', 'dateTime'] }), {
  ...{ time: (auction) => auction.dateTime, disorder: '4s', align: '10s' },
})

localItems(registered, opened).sink('results', results('q3'))
