/** An event as a line of text, for checksums over the generator. */
import type { NexmarkGenerator } from './generator.ts'

/** Fields between tabs, in the order of spec/nexmark.md section 5, with a line feed at the end. */
export function eventLine(generator: NexmarkGenerator, k: number): string {
  switch (generator.kindOf(k)) {
    case 'person': {
      const p = generator.person(k)
      return line('P', p.id, p.name, p.email, p.card, p.city, p.state, p.dateTime, p.extra)
    }
    case 'auction': {
      const a = generator.auction(k)
      const what = [a.id, a.itemName, a.description, a.initialBid, a.reserve]
      return line('A', ...what, a.dateTime, a.expires, a.seller, a.category, a.extra)
    }
    case 'bid': {
      const b = generator.bid(k)
      return line('B', b.auction, b.bidder, b.price, b.channel, b.url, b.dateTime, b.extra)
    }
  }
}

function line(...fields: readonly (string | number)[]): string {
  return `${fields.join('\t')}\n`
}
