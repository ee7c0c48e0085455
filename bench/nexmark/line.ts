/** An event as a line of text, for checksums over the generator. */
import type { NexmarkGenerator } from './generator.ts'
import { kindOf } from './numbering.ts'

/** Fields between tabs, in the order of spec/nexmark.md section 5, with a line feed at the end. */
export function eventLine(generator: NexmarkGenerator, k: number): string {
  switch (kindOf(k)) {
    case 'person': {
      generator.drawPerson(k)
      const p = generator.person
      return line('P', p.id, p.name, p.email, p.card, p.city, p.state, p.dateTime, p.extra)
    }
    case 'auction': {
      generator.drawAuction(k)
      const a = generator.auction
      const what = [a.id, a.itemName, a.description, a.initialBid, a.reserve]
      return line('A', ...what, a.dateTime, a.expires, a.seller, a.category, a.extra)
    }
    case 'bid': {
      generator.drawBid(k)
      const b = generator.bid
      return line('B', b.auction, b.bidder, b.price, b.channel, b.url, b.dateTime, b.extra)
    }
  }
}

function line(...fields: readonly (string | number)[]): string {
  return `${fields.join('\t')}\n`
}
