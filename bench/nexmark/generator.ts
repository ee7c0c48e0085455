/**
 * The events of the Nexmark benchmark: persons, auctions and bids of an auction house.
 *
 * Profile EV of spec/nexmark.md: the draws of event `k` start from a seed of its own, so that any event can be made
 * without the ones before it. A reader may start anywhere, at any parallelism, and the data are the same.
 */
import { SplittableRandom } from './random.ts'
import { hotChannel, makeTexts, POOL_LENGTH, randomText, type Texts } from './texts.ts'

export interface GeneratorOptions {
  /** Events per second of event time. Default 10,000. */
  readonly rate?: number
  /** Seeds of the draws, the channel table and the text pool. Default 42, 3, 7. */
  readonly seeds?: readonly [draws: number, table: number, pool: number]
}

export interface Person {
  readonly id: number
  readonly name: string
  readonly email: string
  readonly card: string
  readonly city: string
  readonly state: string
  readonly dateTime: number
  readonly extra: string
}

export interface Auction {
  readonly id: number
  readonly itemName: string
  readonly description: string
  readonly initialBid: number
  readonly reserve: number
  readonly dateTime: number
  readonly expires: number
  readonly seller: number
  readonly category: number
  readonly extra: string
}

export interface Bid {
  readonly auction: number
  readonly bidder: number
  /** Cents. */
  readonly price: number
  readonly channel: string
  readonly url: string
  /** Event time, ms since the epoch. */
  readonly dateTime: number
  readonly extra: string
}

export type EventKind = 'person' | 'auction' | 'bid'

/** Event time of the start: 2015-07-15. */
const BASE_MS = 1_436_918_400_000
const FIRST_ID = 1000
const FIRST_CATEGORY = 10
/** Of 50 events 1 is a person, 3 are auctions, 46 are bids. */
const EPOCH = 50
const HOT_BLOCK = 100

// biome-ignore format: lists of words
const FIRST_NAMES = ['Peter', 'Paul', 'Luke', 'John', 'Saul', 'Vicky', 'Kate', 'Julie', 'Sarah', 'Deiter', 'Walter']
// biome-ignore format: lists of words
const LAST_NAMES = ['Shultz', 'Abrams', 'Spencer', 'White', 'Bartels', 'Walton', 'Smith', 'Jones', 'Noris']
// biome-ignore format: lists of words
const CITIES = ['Phoenix', 'Los Angeles', 'San Francisco', 'Boise', 'Portland', 'Bend', 'Redmond', 'Seattle', 'Kent', 'Cheyenne']
const STATES = ['AZ', 'CA', 'ID', 'OR', 'WA', 'WY']

/** Draws of a bid in their order. `texts` of the generator has the channel and url of `channel`, and the pool. */
export interface BidDraws {
  auction: number
  bidder: number
  price: number
  channel: number
  extraStart: number
  extraLength: number
}

export class NexmarkGenerator {
  readonly texts: Texts
  /** Filled by `drawBid`. */
  readonly draws: BidDraws = { auction: 0, bidder: 0, price: 0, channel: 0, extraStart: 0, extraLength: 0 }
  readonly #rate: number
  readonly #seed: number
  readonly #random = new SplittableRandom()

  constructor({ rate = 10_000, seeds = [42, 3, 7] }: GeneratorOptions = {}) {
    this.#rate = rate
    this.#seed = seeds[0]
    this.texts = makeTexts(seeds[1], seeds[2])
  }

  /** Kind of event `k`, 0 being the first. */
  kindOf(k: number): EventKind {
    const offset = idOf(k) % EPOCH
    return offset === 0 ? 'person' : offset <= 3 ? 'auction' : 'bid'
  }

  /** Event time of event `k`, ms since the epoch. */
  timeOf(k: number): number {
    const delayUs = 1_000_000 / this.#rate
    return BASE_MS + Math.trunc(Math.trunc((k + 1) * delayUs) / 1000)
  }

  person(k: number): Person {
    const id = idOf(k)
    const random = this.#random.seed(id, this.#seed)
    const name = `${FIRST_NAMES[random.below(11)]} ${LAST_NAMES[random.below(9)]}`
    const email = `${randomText(random, 7)}@${randomText(random, 5)}.com`
    const card = [0, 1, 2, 3].map(() => String(random.below(10_000)).padStart(4, '0')).join(' ')
    const city = CITIES[random.below(10)]
    const state = STATES[random.below(6)]
    const size = 8 + name.length + email.length + card.length + city.length + state.length
    const extra = this.#extra(size, 200)
    return { id: lastPerson(id) + FIRST_ID, name, email, card, city, state, dateTime: this.timeOf(k), extra }
  }

  auction(k: number): Auction {
    const id = idOf(k)
    const random = this.#random.seed(id, this.#seed)
    const persons = lastPerson(id)
    const seller = random.below(4) > 0 ? hotOf(persons) : this.#nextPerson(persons)
    const category = FIRST_CATEGORY + random.below(5)
    const initialBid = this.#price()
    const dateTime = this.timeOf(k)
    // As far ahead as it takes to open the 100 auctions that are open at a time.
    const horizon = this.timeOf(k + Math.floor((100 * EPOCH) / 3)) - dateTime
    const expires = dateTime + 1 + random.below(Math.max(horizon * 2, 1))
    const itemName = randomText(random, 20)
    const description = randomText(random, 100)
    const reserve = initialBid + this.#price()
    const extra = this.#extra(48 + itemName.length + description.length, 500)
    const sellerId = seller + FIRST_ID
    return {
      ...{ id: lastAuction(id) + FIRST_ID, itemName, description, initialBid, reserve },
      ...{ dateTime, expires, seller: sellerId, category, extra },
    }
  }

  bid(k: number): Bid {
    this.drawBid(k, 5)
    const { auction, bidder, price, channel, extraStart, extraLength } = this.draws
    const { channels, urls, pool } = this.texts
    return {
      ...{ auction, bidder, price, channel: channels[channel], url: urls[channel] },
      ...{ dateTime: this.timeOf(k), extra: pool.slice(extraStart, extraStart + extraLength) },
    }
  }

  /** Makes the first `count` of the draws auction, bidder, price, channel, extra. */
  drawBid(k: number, count: number): void {
    const id = idOf(k)
    const random = this.#random.seed(id, this.#seed)
    const draws = this.draws
    draws.auction = (random.below(2) > 0 ? hotOf(lastAuction(id)) : this.#nextAuction(lastAuction(id))) + FIRST_ID
    if (count === 1) return
    const persons = lastPerson(id)
    // The second FIRST_ID is a quirk of the original, which every result depends on.
    draws.bidder = (random.below(4) > 0 ? hotOf(persons) + 1 : this.#nextPerson(persons)) + 2 * FIRST_ID
    if (count === 2) return
    draws.price = this.#price()
    if (count === 3) return
    draws.channel = random.below(2) > 0 ? hotChannel(random.below(4)) : random.below(10_000)
    if (count === 4) return
    this.#drawExtra(32, 100)
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

  #extra(size: number, target: number): string {
    this.#drawExtra(size, target)
    const { extraStart, extraLength } = this.draws
    return this.texts.pool.slice(extraStart, extraStart + extraLength)
  }

  /** Filler that brings an event of `size` characters to about `target`. */
  #drawExtra(size: number, target: number): void {
    this.draws.extraStart = 0
    this.draws.extraLength = 0
    if (size > target) return
    const wanted = target - size
    const spread = Math.round(wanted * 0.2)
    const length = wanted - spread + (spread === 0 ? 0 : this.#random.below(2 * spread))
    this.draws.extraStart = this.#random.below(POOL_LENGTH - length)
    this.draws.extraLength = length
  }
}

/** Ids begin at 2: the first event is an auction, and person 1000 and auction 1000 never exist. */
function idOf(k: number): number {
  return k + 2
}

/** Number of the last person made up to event `id`, 0 being the first. */
function lastPerson(id: number): number {
  return Math.floor(id / EPOCH)
}

function lastAuction(id: number): number {
  const epoch = Math.floor(id / EPOCH)
  const offset = id % EPOCH
  if (offset === 0) return 3 * (epoch - 1) + 2
  return offset <= 3 ? 3 * epoch + offset - 1 : 3 * epoch + 2
}

/** Of each hundred the first one is hot. */
function hotOf(last: number): number {
  return Math.floor(last / HOT_BLOCK) * HOT_BLOCK
}
