import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import fc from 'fast-check'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { compileChain, type InlineStep } from '../runtime/fused.ts'
import { cases } from '../testing/cases.ts'
import { RowBatch } from './batch.ts'
import { ColumnBuilder, columnsFromRows } from './column-builder.ts'
import { loopWriter, type RowTarget, rowWriter } from './row-writer.ts'
import { object, type RowOf, schema } from './schema.ts'

const bid = schema(
  {
    auction: 'int32',
    price: 'float64',
    channel: 'string',
    big: 'int64',
    isHot: 'bool',
    note: 'string?',
    raw: 'bytes?',
  },
  { poisonViews: false },
)
type Bid = RowOf<typeof bid>

function bidOf(n: number): Bid {
  return {
    auction: n,
    price: n / 3,
    channel: `channel ${n % 3}`,
    big: BigInt(n) << 32n,
    isHot: n % 2 === 0,
    note: n % 4 === 0 ? null : `note ${n}`,
    raw: n % 5 === 0 ? Uint8Array.of(n) : null,
  }
}

function bids(count: number, description = bid) {
  const rows = Array.from({ length: count }, (_, i) => bidOf(i))
  return columnsFromRows(
    description,
    rows,
    rows.map((_, i) => 1000 + i),
  )
}

describe('schema', () => {
  test('rows are typed', () => {
    const s = schema({ a: 'int32', b: 'string?', c: object<{ x: number }>(), d: 'object', e: 'int64' })
    expectTypeOf<RowOf<typeof s>>().toEqualTypeOf<{
      readonly a: number
      readonly b: string | null
      readonly c: { x: number }
      readonly d: unknown
      readonly e: bigint
    }>()
  })

  test('the hash depends on names and types, not on their order', () => {
    const hash = schema({ a: 'int32', b: 'string' }).hash
    expect(hash).toMatch(/^[0-9a-f]{16}$/)
    expect(schema({ b: 'string', a: 'int32' }).hash).toBe(hash)
    expect(schema({ a: 'int32', b: 'string?' }).hash).not.toBe(hash)
    expect(schema({ a: 'int32', c: 'string' }).hash).not.toBe(hash)
  })

  test('an unknown type names the column and the types there are', () => {
    // @ts-expect-error not a column type
    expect(() => schema({ price: 'decimal' })).toThrow(
      'column "price" has type "decimal"; types are int32, float64, int64, bool, string, bytes, object',
    )
  })
})

for (const isFast of [true, false]) {
  const description = schema(bid.fields, { poisonViews: !isFast })
  describe(`ColumnBatch with ${isFast ? 'generated' : 'poisoned'} views`, () => {
    test('a row view looks like a plain row to spread, JSON, keys and equality', () => {
      const batch = bids(6, description)
      const row = batch.row(3)
      expect({ ...row }).toEqual(bidOf(3))
      expect(Object.keys(row)).toEqual(Object.keys(bidOf(3)))
      const { big: _, ...json } = row
      expect(JSON.stringify(json)).toBe(JSON.stringify({ ...bidOf(3), big: undefined }))
    })

    test('a kept row stays as it was', () => {
      const batch = bids(6, description)
      const kept = batch.keep(2)
      batch.row(5)
      expect(kept).toEqual(bidOf(2))
      expect(Object.getPrototypeOf(kept)).toBe(Object.prototype)
    })

    test('keeping one row does not move the view of another', () => {
      const batch = bids(6, description)
      const row = batch.row(1)
      batch.keep(4)
      expect(row.auction).toBe(1)
    })

    test('a row cannot be written', () => {
      const row = bids(1, description).row(0) as { auction: number; extra?: number }
      expect(() => {
        row.auction = 5
      }).toThrow(TypeError)
      expect(() => {
        row.extra = 5
      }).toThrow(TypeError)
    })

    test('selections of selections, new keys and new times give the rows a row batch would', () => {
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 30 }),
          fc.array(fc.nat(1000)),
          fc.array(fc.nat(1000)),
          (n, first, second) => {
            const rows = Array.from({ length: n }, (_, i) => bidOf(i))
            const origin = { source: 's', partition: 'p', at: (i: number) => i }
            const weights = Int8Array.from(rows, (_, i) => (i % 3 === 0 ? -1 : 1))
            const builder = new ColumnBuilder(description, n)
            for (let i = 0; i < n; i++) builder.append(rows[i], i / 2)
            const columns = builder.take({ origin, weights })
            const plain = new RowBatch(
              rows,
              rows.map((_, i) => i / 2),
              undefined,
              weights,
              origin,
            )
            const [a, b] = [columns, plain].map((batch) => {
              const one = batch.select(
                first.map((i) => i % n),
                first.length,
              )
              const keyed = one.rekey(first.map((i) => `k${i % 7}`))
              if (first.length === 0) return keyed
              const two = keyed.select(
                second.map((i) => i % first.length),
                second.length,
              )
              return two.rekey(
                two.keys,
                second.map((i) => i + 0.5),
              )
            })
            expect(a.length).toBe(b.length)
            for (let i = 0; i < a.length; i++) {
              expect(a.keep(i)).toEqual(b.row(i))
              expect({ ...(a.row(i) as object) }).toEqual(b.row(i))
              expect([a.times[i], a.keys?.[i], a.weights?.[i], a.origin?.at(i)]).toEqual([
                b.times[i],
                b.keys?.[i],
                b.weights?.[i],
                b.origin?.at(i),
              ])
            }
          },
        ),
        { numRuns: cases(40) },
      )
    })

    test('fused loops give what they give for plain rows, generated and interpreted, for batches up to 4096 rows', () => {
      const steps: InlineStep[] = [
        { op: 'filter', fn: (r: Bid) => r.auction % 3 !== 0, step: 'f', at: undefined },
        { op: 'keyBy', fn: (r: Bid) => r.channel, step: 'k', at: undefined },
        { op: 'timestamp', fn: (r: Bid) => r.price, step: 't', at: undefined },
        { op: 'flatMap', fn: (r: Bid) => (r.isHot ? [r, { ...r, price: 0 }] : [r]), step: 'm', at: undefined },
      ]
      for (const size of isFast ? [1, 2, 255, 4096] : [1, 50]) {
        for (const cut of [2, 3, 4]) {
          const used = steps.slice(0, cut)
          const host = {
            counts: new Float64Array(8),
            onError: (_: number, error: unknown) => expect.fail(String(error)),
          }
          const [expected, ...others] = [
            compileChain(used, 'interpreted')(new RowBatch(rowsOf(size), timesOf(size)), host),
            compileChain(used, 'generated')(bids(size, description), host),
            compileChain(used, 'interpreted')(bids(size, description), host),
          ].map((batch) => {
            if (batch === undefined) return undefined
            const indices = Array.from({ length: batch.length }, (_, i) => i)
            return {
              rows: indices.map((i) => batch.keep(i)),
              times: Array.from(batch.times),
              keys: Array.from(batch.keys ?? []),
            }
          })
          for (const other of others) expect(other).toEqual(expected)
        }
      }
    })
  })
}

const rowsOf = (n: number) => Array.from({ length: n }, (_, i) => bidOf(i))
const timesOf = (n: number) => Array.from({ length: n }, (_, i) => 1000 + i)

test('the view of a schema is an object whose properties V8 reads fast', () => {
  setFlagsFromString('--allow-natives-syntax')
  const hasFastProperties = new Function('o', 'return %HasFastProperties(o)')
  setFlagsFromString('--no-allow-natives-syntax')
  for (const name of ['x', 'y']) {
    // Two schemas with a column of the same name: the second is the one V8 would make a dictionary.
    const row = columnsFromRows(schema({ same: 'int32', [name]: 'int32' }), [{ same: 1, [name]: 2 }], [0]).row(0)
    for (let i = 0; i < 100; i++) expect((row as { same: number }).same).toBe(1)
    expect(hasFastProperties(row)).toBe(true)
  }
})

test('the writer for processes without code generation accepts, refuses and writes the same', () => {
  const anyCell = fc.oneof(
    fc.integer(),
    fc.double(),
    fc.bigInt({ min: -(2n ** 65n), max: 2n ** 65n }),
    fc.boolean(),
    fc.string(),
    fc.constantFrom(null, undefined, Uint8Array.of(1), [], -0),
  )
  const kinds = ['int32', 'float64', 'int64', 'bool', 'string', 'bytes', 'object'] as const
  fc.assert(
    fc.property(fc.constantFrom(...kinds), fc.boolean(), anyCell, (kind, isNullable, value) => {
      const description = schema({ c: isNullable ? (`${kind}?` as const) : kind })
      const results = [rowWriter(description), loopWriter(description.columns)].map((write) => {
        const builder = new ColumnBuilder(description, 1)
        builder.next(0)
        try {
          write({ c: value }, 0, builder as unknown as RowTarget)
          return { row: builder.take().keep(0) }
        } catch (error) {
          return { error: String(error) }
        }
      })
      expect(results[0]).toEqual(results[1])
    }),
    { numRuns: cases(300) },
  )
})

describe('development mode', () => {
  const dev = schema({ a: 'int32' }, { poisonViews: true })

  test('a row used after its batch moved on throws ROW_VIEW_KEPT', () => {
    const batch = columnsFromRows(dev, [{ a: 1 }, { a: 2 }], [0, 0])
    const row = batch.row(0)
    expect(row.a).toBe(1)
    batch.row(1)
    expect(() => row.a).toThrow(expect.objectContaining({ code: 'ROW_VIEW_KEPT' }))
    expect(() => ({ ...row })).toThrow('Copy rows that you keep: { ...row }.')
  })

  test('a row from an earlier batch of the same schema is caught too', () => {
    const row = columnsFromRows(dev, [{ a: 1 }], [0]).row(0)
    columnsFromRows(dev, [{ a: 2 }], [0]).row(0)
    expect(() => JSON.stringify(row)).toThrow('moved on')
  })
})

describe('ColumnBuilder', () => {
  test('a value that does not fit names the column, the value and the remedy, and leaves the row out', () => {
    const builder = new ColumnBuilder(schema({ a: 'int32', b: 'string' }))
    builder.append({ a: 1, b: 'x' }, 1)
    expect(() => builder.append({ a: 2 ** 31, b: 'x' }, 2)).toThrow(
      'column "a" holds int32 values and was given 2147483648.',
    )
    // @ts-expect-error null is not allowed
    expect(() => builder.append({ a: 2, b: null }, 2)).toThrow("Declare it 'string?' to allow null.")
    builder.append({ a: 3, b: 'y' }, 3)
    const batch = builder.take()
    expect([batch.keep(0), batch.keep(1)]).toEqual([
      { a: 1, b: 'x' },
      { a: 3, b: 'y' },
    ])
    expect(Array.from(batch.times)).toEqual([1, 3])
  })

  test('rows can be written column by column', () => {
    const builder = new ColumnBuilder(schema({ price: 'float64', channel: 'string' }), 4)
    for (let n = 0; n < 4; n++) {
      const i = builder.next(n * 10)
      builder.columns.price[i] = n / 2
      builder.columns.channel[i] = builder.code('channel', n % 2 === 0 ? 'even' : 'odd')
    }
    expect(builder.isFull).toBe(true)
    expect(() => builder.next(0)).toThrow('is full')
    const batch = builder.take()
    expect(builder.length).toBe(0)
    expect(batch.keep(3)).toEqual({ price: 1.5, channel: 'odd' })
    expect(batch.column('price')).toEqual(Float64Array.of(0, 0.5, 1, 1.5))
    expect(batch.dictionary('channel')).toEqual(['even', 'odd'])
  })

  for (const filled of [1, 3]) {
    test(`a batch of ${filled} of 3 rows does not change when its builder goes on`, () => {
      const builder = new ColumnBuilder(schema({ a: 'int32', s: 'string?', o: 'object' }), 3)
      for (let n = 1; n <= filled; n++) builder.append({ a: n, s: 'x', o: [n] }, n)
      const first = builder.take()
      for (let n = 4; n <= 6; n++) builder.append({ a: n, s: null, o: [n] }, n)
      const second = builder.take()
      for (let n = 1; n <= filled; n++) expect(first.keep(n - 1)).toEqual({ a: n, s: 'x', o: [n] })
      expect(second.keep(2)).toEqual({ a: 6, s: null, o: [6] })
      expect([...Array.from(first.times), ...Array.from(second.times)].at(-1)).toBe(6)
    })
  }

  test('a dictionary that grew to its limit is begun anew and old batches keep theirs', () => {
    const builder = new ColumnBuilder(schema({ s: 'string' }), 70_000)
    for (let n = 0; n < 70_000; n++) builder.append({ s: `s${n}` }, n)
    const first = builder.take()
    builder.append({ s: 'fresh' }, 0)
    const second = builder.take()
    expect(second.dictionary('s')).toEqual(['fresh'])
    expect(first.row(69_999).s).toBe('s69999')
  })
})

test('chains and row views work where code generation is forbidden', () => {
  const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href)
  const program = `
    const { compileChain } = await import(${url('../runtime/fused.ts')})
    const { columnsFromRows } = await import(${url('./column-builder.ts')})
    const { schema } = await import(${url('./schema.ts')})
    const batch = columnsFromRows(schema({ a: 'int32' }), [{ a: 1 }, { a: 2 }], [1, 2])
    const steps = [{ op: 'filter', fn: r => r.a > 1, step: 'f' }, { op: 'map', fn: r => ({ ...r, b: 3 }), step: 'm' }]
    const out = compileChain(steps)(batch, { counts: new Float64Array(4), onError(_, e) { throw e } })
    console.log(JSON.stringify(out.keep(0)))
    try { compileChain(steps, 'generated') } catch (e) { console.log(e.name) }
  `
  const flags = ['--disallow-code-generation-from-strings', '--no-warnings', '--input-type=module']
  const out = execFileSync(process.execPath, [...flags, '--eval', program], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
  })
  expect(String(out)).toBe('{"a":2,"b":3}\nEvalError\n')
})
