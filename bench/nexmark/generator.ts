/**
 * The events of the Nexmark benchmark: persons, auctions and bids of an auction house.
 *
 * Profile EV of spec/nexmark.md: the draws of event `k` start from a seed of its own, so that any event can be made
 * without the ones before it. A reader may start anywhere, at any parallelism, and the data are the same.
 */
import { EPOCH, idOf, lastAuction, lastPerson } from './numbering.ts'
import { SplittableRandom } from './random.ts'
import { hotChannel, POOL_LENGTH, randomText, type Texts, textsOf } from './texts.ts'

export interface GeneratorOptions {
  /** Events per second of event time. Default 10,000. */
  readonly rate?: number
  /** Seeds of the draws, the channel table and the text pool. Default 42, 3, 7. */
  readonly seeds?: readonly [draws: number, table: number, pool: number]
}

/** Of every event. */
interface Event {
  /** Event time, ms since the epoch. */
  readonly dateTime: number
  /** Number of the event, 0 being the first. It never falls as time goes on: the order among events of one millisecond. */
  readonly event: number
}

export interface Person extends Event {
  readonly id: number
  readonly name: string
  readonly email: string
  readonly card: string
  readonly city: string
  readonly state: string
  readonly extra: string
}

export interface Auction extends Event {
  readonly id: number
  readonly itemName: string
  readonly description: string
  readonly initialBid: number
  readonly reserve: number
  /** The last ms at which bids count. */
  readonly expires: number
  readonly seller: number
  readonly category: number
  readonly extra: string
}

export interface Bid extends Event {
  readonly auction: number
  readonly bidder: number
  /** Cents. */
  readonly price: number
  readonly channel: string
  readonly url: string
  readonly extra: string
}

/** Event time of the start: 2015-07-15. */
const BASE_MS = 1_436_918_400_000
const FIRST_ID = 1000
const FIRST_CATEGORY = 10
const HOT_BLOCK = 100
/** Events that it takes to make the 100 auctions that are open at a time. */
const OPEN_EVENTS = Math.floor((100 * EPOCH) / 3)

// biome-ignore format: lists of words
const FIRST_NAMES = ['Peter', 'Paul', 'Luke', 'John', 'Saul', 'Vicky', 'Kate', 'Julie', 'Sarah', 'Deiter', 'Walter']
// biome-ignore format: lists of words
const LAST_NAMES = ['Shultz', 'Abrams', 'Spencer', 'White', 'Bartels', 'Walton', 'Smith', 'Jones', 'Noris']
// biome-ignore format: lists of words
const CITIES = ['Phoenix', 'Los Angeles', 'San Francisco', 'Boise', 'Portland', 'Bend', 'Redmond', 'Seattle', 'Kent', 'Cheyenne']
const STATES = ['AZ', 'CA', 'ID', 'OR', 'WA', 'WY']

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] }

export class NexmarkGenerator {
  /** Filled by `drawPerson`, `drawAuction` and `drawBid`; fields whose draws were left out are of an earlier event. */
  readonly person: Mutable<Person>
  readonly auction: Mutable<Auction>
  readonly bid: Mutable<Bid>
  readonly #delayUs: number
  readonly #seeds: readonly [draws: number, table: number, pool: number]
  readonly #seed: number
  readonly #random = new SplittableRandom()
  /** Made when the first event needs them. */
  #texts: Texts | undefined

  constructor({ rate = 10_000, seeds = [42, 3, 7] }: GeneratorOptions = {}) {
    this.#delayUs = 1_000_000 / rate
    this.#seeds = seeds
    this.#seed = seeds[0]
    const event = { dateTime: 0, event: 0 }
    this.person = { id: 0, name: '', email: '', card: '', city: '', state: '', ...event, extra: '' }
    this.auction = {
      ...{ id: 0, itemName: '', description: '', initialBid: 0, reserve: 0, ...event },
      ...{ expires: 0, seller: 0, category: 0, extra: '' },
    }
    this.bid = { auction: 0, bidder: 0, price: 0, channel: '', url: '', ...event, extra: '' }
  }

  /** Event time of event `k`, ms since the epoch. */
  timeOf(k: number): number {
    return BASE_MS + Math.floor(Math.floor((k + 1) * this.#delayUs) / 1000)
  }

  /** Makes the first `draws` of name, email, card, city, state, extra. */
  drawPerson(k: number, draws = 6): void {
    const { person } = this
    const id = idOf(k)
    person.id = lastPerson(id) + FIRST_ID
    person.event = k
    person.dateTime = this.timeOf(k)
    if (draws === 0) return
    const random = this.#random.seed(id, this.#seed)
    person.name = `${FIRST_NAMES[random.below(11)]} ${LAST_NAMES[random.below(9)]}`
    if (draws === 1) return
    person.email = `${randomText(random, 7)}@${randomText(random, 5)}.com`
    if (draws === 2) return
    person.card = [0, 1, 2, 3].map(() => String(random.below(10_000)).padStart(4, '0')).join(' ')
    if (draws === 3) return
    person.city = CITIES[random.below(10)]
    if (draws === 4) return
    person.state = STATES[random.below(6)]
    if (draws === 5) return
    const { name, email, card, city, state } = person
    person.extra = this.#extra(8 + name.length + email.length + card.length + city.length + state.length, 200)
  }

  /** Makes the first `draws` of seller, category, initialBid, expires, itemName, description, reserve, extra. */
  drawAuction(k: number, draws = 8): void {
    const { auction } = this
    const id = idOf(k)
    auction.id = lastAuction(id) + FIRST_ID
    auction.event = k
    auction.dateTime = this.timeOf(k)
    if (draws === 0) return
    const random = this.#random.seed(id, this.#seed)
    const persons = lastPerson(id)
    auction.seller = (random.below(4) > 0 ? hotOf(persons) : this.#nextPerson(persons)) + FIRST_ID
    if (draws === 1) return
    auction.category = FIRST_CATEGORY + random.below(5)
    if (draws === 2) return
    auction.initialBid = this.#price()
    if (draws === 3) return
    const horizon = this.timeOf(k + OPEN_EVENTS) - auction.dateTime
    auction.expires = auction.dateTime + 1 + random.below(Math.max(horizon * 2, 1))
    if (draws === 4) return
    auction.itemName = randomText(random, 20)
    if (draws === 5) return
    auction.description = randomText(random, 100)
    if (draws === 6) return
    auction.reserve = auction.initialBid + this.#price()
    if (draws === 7) return
    auction.extra = this.#extra(48 + auction.itemName.length + auction.description.length, 500)
  }

  /** Makes the first `draws` of auction, bidder, price, channel (with url), extra. */
  drawBid(k: number, draws = 5): void {
    const { bid } = this
    const id = idOf(k)
    bid.event = k
    bid.dateTime = this.timeOf(k)
    if (draws === 0) return
    const random = this.#random.seed(id, this.#seed)
    const auctions = lastAuction(id)
    bid.auction = (random.below(2) > 0 ? hotOf(auctions) : this.#nextAuction(auctions)) + FIRST_ID
    if (draws === 1) return
    const persons = lastPerson(id)
    // The second FIRST_ID is a quirk of the original, which every result depends on.
    bid.bidder = (random.below(4) > 0 ? hotOf(persons) + 1 : this.#nextPerson(persons)) + 2 * FIRST_ID
    if (draws === 2) return
    bid.price = this.#price()
    if (draws === 3) return
    const channel = random.below(2) > 0 ? hotChannel(random.below(4)) : random.below(10_000)
    const { channels, urls } = this.#theTexts()
    bid.channel = channels[channel]
    bid.url = urls[channel]
    if (draws === 4) return
    bid.extra = this.#extra(32, 100)
  }

  /** One of the last 1000 persons, or one of the next ten. */
  #nextPerson(last: number): number {
    const active = Math.min(last + 1, 1000)
    return last + 1 - active + this.#random.below(active + 10)
  }

  /** One of the last 100 auctions, or one of the next ten. */
  #nextAuction(last: number): number {
    const lowest = Math.max(last - 100, 0)
    return lowest + this.#random.below(last - lowest + 11)
  }

  #price(): number {
    return Math.round(100 * 10 ** (6 * this.#random.double()))
  }

  /** Filler that brings an event of `size` characters to about `target`. */
  #extra(size: number, target: number): string {
    if (size > target) return ''
    const wanted = target - size
    const spread = Math.round(wanted * 0.2)
    const length = wanted - spread + (spread === 0 ? 0 : this.#random.below(2 * spread))
    const start = this.#random.below(POOL_LENGTH - length)
    return this.#theTexts().pool.slice(start, start + length)
  }

  #theTexts(): Texts {
    this.#texts ??= textsOf(this.#seeds[1], this.#seeds[2])
    return this.#texts
  }
}

/** How long an auction is open at most, ms. */
export function openMsMax(rate = 10_000): number {
  return 2 * (Math.ceil((OPEN_EVENTS * 1000) / rate) + 1)
}

/** Of each hundred the first one is hot. */
function hotOf(last: number): number {
  return Math.floor(last / HOT_BLOCK) * HOT_BLOCK
}
