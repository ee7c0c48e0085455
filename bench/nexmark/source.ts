/**
 * The events of one kind as a source, in typed columns. It is also an example of a connector: bounded, replayable, and at
 * any position at once, because every event can be made without the ones before it.
 *
 * A flow names the fields that it reads. The draws for what comes after the last of them are left out, as a reader that
 * projects would leave out the bytes.
 */
import type { Source, SourceBatch, SourceReader } from 'millrace/connector'
import { ColumnBuilder, schema } from 'millrace/connector'
import { type Auction, type Bid, type GeneratorOptions, NexmarkGenerator, type Person } from './generator.ts'
import { countOf, type EventKind, eventOf } from './numbering.ts'

interface Rows {
  readonly person: Person
  readonly auction: Auction
  readonly bid: Bid
}

type FieldOf<K extends EventKind> = keyof Rows[K] & string

export interface EventsOptions<F> extends GeneratorOptions {
  /** Events of all kinds: of 50 one is a person, 3 are auctions, 46 are bids. */
  readonly events: number
  /** What the flow reads of a row. */
  readonly fields: readonly F[]
  /** Partition p has the rows p, p + partitions, ... of its kind: the same rows at the same times for any number. Default 2. */
  readonly partitions?: number
}

/** Texts of which there are many are 'object': looking each up in a dictionary costs more than it saves. */
const columns = {
  person: {
    ...{ id: 'int32', name: 'string', email: 'object', card: 'object', city: 'string', state: 'string' },
    ...{ dateTime: 'float64', event: 'float64', extra: 'object' },
  },
  auction: {
    ...{ id: 'int32', itemName: 'object', description: 'object', initialBid: 'int32', reserve: 'int32' },
    ...{
      dateTime: 'float64',
      event: 'float64',
      expires: 'float64',
      seller: 'int32',
      category: 'int32',
      extra: 'object',
    },
  },
  bid: {
    ...{ auction: 'int32', bidder: 'int32', price: 'int32', channel: 'object', url: 'object' },
    ...{ dateTime: 'float64', event: 'float64', extra: 'object' },
  },
} as const

/** How many draws a field needs, in the order in which the generator makes them. */
const drawsOf = {
  person: { id: 0, event: 0, dateTime: 0, name: 1, email: 2, card: 3, city: 4, state: 5, extra: 6 },
  auction: {
    ...{ id: 0, event: 0, dateTime: 0, seller: 1, category: 2, initialBid: 3, expires: 4 },
    ...{ itemName: 5, description: 6, reserve: 7, extra: 8 },
  },
  bid: { event: 0, dateTime: 0, auction: 1, bidder: 2, price: 3, channel: 4, url: 4, extra: 5 },
} as const

const BATCH_ROWS = 1024

/** People who register. */
export function persons<const F extends FieldOf<'person'>>(options: EventsOptions<F>): Source<Pick<Person, F>> {
  return events('person', options)
}

/** Auctions that are opened. */
export function auctions<const F extends FieldOf<'auction'>>(options: EventsOptions<F>): Source<Pick<Auction, F>> {
  return events('auction', options)
}

/** Bids on auctions. */
export function bids<const F extends FieldOf<'bid'>>(options: EventsOptions<F>): Source<Pick<Bid, F>> {
  return events('bid', options)
}

function events<K extends EventKind, F extends FieldOf<K>>(
  kind: K,
  options: EventsOptions<F>,
): Source<Pick<Rows[K], F>> {
  const { events, fields, partitions = 2 } = options
  return {
    kind: `nexmark.${kind}s`,
    bounded: true,
    replayable: true,
    describe: () => ({ events, partitions, fields }),
    partitions: () => Array.from({ length: partitions }, (_, p) => String(p)),
    open: (partition, position) => {
      const first = position === undefined ? Number(partition) : countOf(kind, position as number)
      return new EventReader(kind, options, first, partitions)
    },
  }
}

/** A position is the number of the next event. Inside, rows are counted among those of their kind. */
class EventReader<K extends EventKind, F extends FieldOf<K>> implements SourceReader<Pick<Rows[K], F>> {
  readonly #kind: K
  readonly #builder: ColumnBuilder
  readonly #draw: (k: number) => void
  readonly #row: Rows[K]
  readonly #step: number
  readonly #count: number
  #next: number

  constructor(kind: K, options: EventsOptions<F>, next: number, step: number) {
    const { events, fields } = options
    const all = columns[kind] as Record<FieldOf<K>, 'int32'>
    const order = drawsOf[kind] as Record<FieldOf<K>, number>
    const draws = Math.max(...fields.map((name) => order[name]))
    const generator = new NexmarkGenerator(options)
    this.#kind = kind
    this.#builder = new ColumnBuilder(schema(Object.fromEntries(fields.map((name) => [name, all[name]]))), BATCH_ROWS)
    this.#draw = {
      person: (k: number) => generator.drawPerson(k, draws),
      auction: (k: number) => generator.drawAuction(k, draws),
      bid: (k: number) => generator.drawBid(k, draws),
    }[kind]
    this.#row = generator[kind] as Rows[K]
    this.#next = next
    this.#step = step
    this.#count = countOf(kind, events)
  }

  read(maxRows: number): SourceBatch<Pick<Rows[K], F>> | 'end' {
    const first = this.#next
    const step = this.#step
    const rows = Math.min(maxRows, BATCH_ROWS, Math.ceil((this.#count - first) / step))
    if (rows <= 0) return 'end'
    const kind = this.#kind
    const builder = this.#builder
    const row = this.#row
    for (let i = 0; i < rows; i++) {
      this.#draw(eventOf(kind, first + i * step))
      builder.append(row as never, row.dateTime)
    }
    this.#next = first + rows * step
    return {
      rows: builder.take() as never,
      next: eventOf(kind, this.#next),
      caughtUp: this.#next >= this.#count,
      at: (i) => eventOf(kind, first + i * step),
    }
  }

  progress(): number {
    return Math.min(1, this.#next / this.#count)
  }

  close(): void {}
}
