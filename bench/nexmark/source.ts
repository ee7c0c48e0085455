/**
 * A source of bids in typed columns. It is also an example of a connector: bounded, replayable, and at any position at
 * once, because every event can be made without the ones before it.
 */
import type { Source, SourceBatch, SourceReader } from 'millrace/connector'
import { ColumnBuilder, schema } from 'millrace/connector'
import { type Bid, type GeneratorOptions, NexmarkGenerator } from './generator.ts'

export interface BidsOptions<F extends keyof Bid> extends GeneratorOptions {
  /** Events of all kinds to go through; 92 of 100 are bids. */
  readonly events: number
  /** What the flow reads of a bid. The draws for what comes after the last of them are left out. */
  readonly fields: readonly F[]
  /** Partition p has the events p, p + partitions, ...: the same events at the same times for any number. Default 2. */
  readonly partitions?: number
}

const columns = {
  auction: 'int32',
  bidder: 'int32',
  price: 'int32',
  channel: 'string',
  url: 'string',
  extra: 'string',
  dateTime: 'float64',
} as const

/** How many draws a field needs, in the order in which the generator makes them. */
const drawsOf = { dateTime: 1, auction: 1, bidder: 2, price: 3, channel: 4, url: 4, extra: 5 } as const

const BATCH_ROWS = 1024

/** The bids of the Nexmark benchmark. */
export function bids<const F extends keyof Bid>(options: BidsOptions<F>): Source<Pick<Bid, F>> {
  const { events, fields, partitions = 2 } = options
  const generator = new NexmarkGenerator(options)
  return {
    kind: 'nexmark.bids',
    bounded: true,
    replayable: true,
    describe: () => ({ events, partitions, fields }),
    partitions: () => Array.from({ length: partitions }, (_, p) => String(p)),
    open: (partition, position) => {
      const first = position === undefined ? Number(partition) : (position as number)
      return new BidReader(generator, fields, first, partitions, events)
    },
  }
}

/** A position is the number of the next event to look at. */
class BidReader<F extends keyof Bid> implements SourceReader<Pick<Bid, F>> {
  readonly #generator: NexmarkGenerator
  readonly #fields: ReadonlySet<keyof Bid>
  readonly #draws: number
  readonly #builder: ColumnBuilder<typeof columns>
  readonly #step: number
  readonly #events: number
  #next: number

  constructor(generator: NexmarkGenerator, fields: readonly F[], next: number, step: number, events: number) {
    const chosen = Object.fromEntries(fields.map((name) => [name, columns[name]]))
    this.#generator = generator
    this.#fields = new Set(fields)
    this.#draws = Math.max(...fields.map((name) => drawsOf[name]))
    // The builder has only the chosen columns; what is written below follows `#fields`.
    this.#builder = new ColumnBuilder(schema(chosen) as never, BATCH_ROWS)
    this.#next = next
    this.#step = step
    this.#events = events
  }

  read(maxRows: number): SourceBatch<Pick<Bid, F>> | 'end' {
    if (this.#next >= this.#events) return 'end'
    const generator = this.#generator
    const builder = this.#builder
    const numbers = new Float64Array(Math.min(maxRows, BATCH_ROWS))
    let rows = 0
    for (; rows < numbers.length && this.#next < this.#events; this.#next += this.#step) {
      if (generator.kindOf(this.#next) !== 'bid') continue
      generator.drawBid(this.#next, this.#draws)
      const time = generator.timeOf(this.#next)
      this.#write(builder.next(time), time)
      numbers[rows++] = this.#next
    }
    return {
      rows: builder.take() as never,
      next: this.#next,
      caughtUp: this.#next >= this.#events,
      at: (i) => numbers[i],
    }
  }

  progress(): number {
    return Math.min(1, this.#next / this.#events)
  }

  close(): void {}

  #write(i: number, time: number): void {
    const { columns } = this.#builder
    const { draws, texts } = this.#generator
    const fields = this.#fields
    if (fields.has('auction')) columns.auction[i] = draws.auction
    if (fields.has('bidder')) columns.bidder[i] = draws.bidder
    if (fields.has('price')) columns.price[i] = draws.price
    if (fields.has('dateTime')) columns.dateTime[i] = time
    if (fields.has('channel')) columns.channel[i] = this.#builder.code('channel', texts.channels[draws.channel])
    if (fields.has('url')) columns.url[i] = this.#builder.code('url', texts.urls[draws.channel])
    if (fields.has('extra')) {
      const { extraStart, extraLength } = draws
      columns.extra[i] = this.#builder.code('extra', texts.pool.slice(extraStart, extraStart + extraLength))
    }
  }
}
