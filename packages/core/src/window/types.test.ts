import { expectTypeOf, it } from 'vitest'
import { aggregate, count, mean, sum } from './aggregates.ts'
import { collect, distinct, first, last, reduce, topN } from './aggregates-rows.ts'
import { quantile } from './quantile.ts'
import type { AggregateShape, Pane, ReservedNames, WindowBounds, WindowRow, WindowValue } from './types.ts'

interface Reading {
  readonly sensor: string
  readonly value: number
}

/** What a windowed stream offers; aggregates first, or rows of functions inside them have no type. */
interface Windowed<K, Row> {
  aggregate<A extends AggregateShape<Row>>(name: string, aggregates: A & ReservedNames): WindowRow<K, A>
  aggregate<Value>(name: string, apply: (rows: readonly Row[]) => Value): WindowValue<K, Value>
}

const windowed = { aggregate: () => ({}) } as unknown as Windowed<string, Reading>

it('rows of functions inside aggregates have the type of the stream, and results are typed', () => {
  const row = windowed.aggregate('average', {
    mean: mean((r) => r.value),
    n: count(),
    first: first(),
    lastValue: last((r) => r.value),
    top: topN(3, (r) => r.value),
    sensors: distinct((r) => r.sensor),
    p99: quantile(0.99, (r) => r.value),
    rows: collect({ limit: 10 }),
    best: reduce((a, b) => (a.value > b.value ? a : b)),
    own: aggregate({
      create: () => ({ text: '' }),
      add: (acc, r: Reading) => ({ text: acc.text + r.sensor }),
      result: (acc) => acc.text,
    }),
  })
  expectTypeOf(row).toEqualTypeOf<{
    readonly key: string
    readonly window: WindowBounds
    readonly pane?: Pane
    readonly mean: number
    readonly n: number
    readonly first: Reading
    readonly lastValue: number
    readonly top: Reading[]
    readonly sensors: number
    readonly p99: number
    readonly rows: Reading[]
    readonly best: Reading
    readonly own: string
  }>()
})

it('a plain function gives its value', () => {
  const row = windowed.aggregate('spread', (rows) => rows.length + rows[0]?.value)
  expectTypeOf(row.value).toEqualTypeOf<number>()
  expectTypeOf(row.key).toEqualTypeOf<string>()
})

it('programs that are wrong do not compile', () => {
  // @ts-expect-error the result row has a key of its own
  windowed.aggregate('a', { key: count() })
  // @ts-expect-error the result row has a window of its own
  windowed.aggregate('a', { window: count() })
  // @ts-expect-error rows have no such field
  windowed.aggregate('a', { n: sum((r) => r.nope) })
  // @ts-expect-error a sum is of numbers
  windowed.aggregate('a', { n: sum((r) => r.sensor) })
  // @ts-expect-error rows are not of this type
  windowed.aggregate('a', { n: sum((r: { other: number }) => r.other) })
})
