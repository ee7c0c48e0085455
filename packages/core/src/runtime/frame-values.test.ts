import { isDeepStrictEqual } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { RowBatch } from '../batch/batch.ts'
import { ByteReader, ByteWriter } from '../batch/bytes.ts'
import { cases } from '../testing/cases.ts'
import { equalValues } from '../testing/equal-values.ts'
import { decodeBatch, encodeBatch } from './frame.ts'

function encoded(rows: readonly unknown[]): Uint8Array {
  const writer = new ByteWriter()
  encodeBatch(writer, new RowBatch(rows, new Float64Array(rows.length)))
  return writer.take()
}

function decoded(bytes: Uint8Array): readonly unknown[] {
  return (decodeBatch(new ByteReader(bytes)) as RowBatch).rows
}

/** As through a ring: shared memory that is overwritten at once (R2), at any offset. */
function roundTrip(rows: readonly unknown[], offset = 0): readonly unknown[] {
  const frame = encoded(rows)
  const memory = new Uint8Array(new SharedArrayBuffer(frame.length + offset)).subarray(offset)
  memory.set(frame)
  const back = decoded(memory)
  memory.fill(255)
  return back
}

/** Equal in every own property and its order, -0, NaN, holes as undefined; objects without a prototype as ordinary ones. */
function expectSame(got: unknown, expected: unknown): void {
  const same = equalValues(got, ordinary(expected)) && isDeepStrictEqual(order(got), order(expected))
  if (!same) expect(got).toStrictEqual(ordinary(expected))
  expect(same).toBe(true)
}

function ordinary(value: unknown): unknown {
  if (Array.isArray(value)) return Array.from(value, ordinary)
  if (value instanceof Map) return new Map([...value].map(([k, v]) => [ordinary(k), ordinary(v)]))
  if (value instanceof Set) return new Set([...value].map(ordinary))
  return isObject(value) ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, ordinary(v)])) : value
}

function order(value: unknown): unknown {
  if (Array.isArray(value)) return Array.from(value, order)
  return isObject(value) ? Object.entries(value).map(([k, v]) => [k, order(v)]) : 0
}

function isObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const proto: unknown = Object.getPrototypeOf(value)
  return proto === Object.prototype || proto === null
}

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.string({ maxLength: 30 }),
  fc.constantFrom('', 'a', 'é', '\ud800', '😀', '\u0000', 'x'.repeat(511), 'y'.repeat(513), 'ü'.repeat(300)),
)
const anyNumber = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, -0, Number.NaN, 2 ** 31, -(2 ** 31), 2 ** 31 - 1, 2 ** 53, Number.POSITIVE_INFINITY),
)
const anyBytes = fc.uint8Array({ maxLength: 20 }).map((b) => new Uint8Array(b))
const anyName = fc.oneof(
  fc.constantFrom('__proto__', '$m', '', '0', '10', 'constructor', 'toString', 'length', '"`$\\\u2028', '\udc00', 'a'),
  fc.string({ maxLength: 4 }),
)
const anyValue = fc.anything({
  key: anyName,
  maxDepth: 4,
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withNullPrototype: true,
  withSparseArray: true,
  values: [
    anyNumber,
    anyText,
    fc.boolean(),
    fc.constantFrom(null, undefined),
    anyBytes,
    fc.constant(new Date(Number.NaN)),
  ],
})

const field: fc.Arbitrary<fc.Arbitrary<unknown>> = fc.constantFrom<fc.Arbitrary<unknown>[]>(
  fc.integer(),
  anyNumber,
  fc.boolean(),
  anyText,
  fc.constantFrom('red', 'green', 'a longer text that repeats'),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
  fc.date(),
  anyBytes,
  fc.array(anyNumber, { maxLength: 5 }),
  fc.array(fc.array(anyText, { maxLength: 3 }), { maxLength: 3 }),
  fc.array(fc.record({ x: anyNumber, t: anyText }), { maxLength: 3 }),
  fc.record({ start: fc.integer(), deep: fc.record({ text: anyText, list: fc.array(fc.boolean()) }) }),
  fc.oneof(fc.constantFrom(null, undefined), fc.integer(), anyText),
  fc.oneof(fc.integer(), fc.record({ a: fc.integer() }), fc.record({ b: anyText }), fc.array(fc.integer())),
  anyValue,
)

/** Rows of up to three shapes, with an odd one now and then. */
const anyRows = fc
  .array(fc.uniqueArray(fc.tuple(anyName, field), { maxLength: 6, selector: ([name]) => name }), {
    minLength: 1,
    maxLength: 3,
  })
  .chain((shapes) => {
    const rows = shapes.map((fields) =>
      fc
        .tuple(...fields.map(([, value]) => value))
        .map((values) => Object.fromEntries(fields.map(([n], i) => [n, values[i]]))),
    )
    return fc.oneof(
      fc.array(rows[0], { maxLength: 100, size: 'max' }),
      fc.array(fc.oneof(...rows, { arbitrary: anyValue, weight: 1 }), { maxLength: 60, size: 'max' }),
    )
  })

describe('values in frames', () => {
  test('rows of any shapes come back equal, with missing, undefined, -0, NaN and the order of properties', () => {
    fc.assert(
      fc.property(anyRows, fc.nat(9), (rows, offset) => expectSame(roundTrip(rows, offset), rows)),
      { numRuns: cases(300) },
    )
  })

  test('rows that are no objects come back equal', () => {
    const anyColumn = field.chain((value) => fc.array(value, { maxLength: 80, size: 'max' }))
    fc.assert(
      fc.property(anyColumn, fc.nat(9), (rows, offset) => {
        const back = roundTrip(rows, offset)
        expectSame(back, rows)
        expect(Array.isArray(back)).toBe(true)
      }),
      { numRuns: cases(200) },
    )
  })

  test('strings come back equal where chunks of the slab end', () => {
    for (const size of [0, 1, 255, 256, 511, 512, 513, 65_536, 300_000]) {
      for (const unit of ['a', 'é', 'ā', '語']) {
        const rows = ['', unit.repeat(size), 'b', unit.repeat(size), '', `${unit.repeat(size)}c`, '']
        expectSame(roundTrip(rows), rows)
        expectSame(
          roundTrip(rows.map((text) => ({ text }))),
          rows.map((text) => ({ text })),
        )
      }
    }
  })

  test('a dictionary keeps apart strings that look alike', () => {
    const rows = Array.from({ length: 2000 }, (_, i) => ({ at: `a${'x'.repeat(i % 3)}${i % 20}b${(i % 7) + 100}yz` }))
    expectSame(roundTrip(rows), rows)
    expect(encoded(rows).length).toBeLessThan(2000 * 8 + 2000 * 3 + 20_000)
  })

  test('many arrays, large arrays, deep nesting, more shapes and more properties than a column has place for come back equal', () => {
    const nest = (depth: number): unknown =>
      depth === 0 ? 'end' : depth % 2 ? [nest(depth - 1)] : { n: nest(depth - 1) }
    const wide = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`p${i}`, i]))
    const batches: unknown[][] = [
      Array.from({ length: 300 }, (_, i) => Array.from({ length: 400 }, (_, k) => (k % 2 ? `${i % 5}` : k))),
      [Array.from({ length: 100_000 }, (_, i) => i / 2), [1], []],
      Array.from({ length: 20 }, (_, i) => nest(i)),
      Array.from({ length: 1500 }, (_, i) => ({ [`only${i % 1300}`]: i, image: Uint8Array.of(i) })),
      Array.from({ length: 10 }, () => wide),
      [{}, {}, {}],
    ]
    for (const rows of batches) expectSame(roundTrip(rows), rows)
  })

  test('rows of one shape have one hidden class, whichever frame they came in', () => {
    setFlagsFromString('--allow-natives-syntax')
    const haveSameMap = new Function('a', 'b', 'return %HaveSameMap(a, b)') as (a: unknown, b: unknown) => boolean
    const rows = Array.from({ length: 200 }, (_, i) => ({
      key: `k${i % 3}`,
      window: { start: i, end: i + 1 },
      n: i / 2,
    }))
    const [first, ...rest] = [...roundTrip(rows), ...roundTrip(rows)].slice(200) as { window: unknown }[]
    for (const row of rest) {
      expect(haveSameMap(row, first)).toBe(true)
      expect(haveSameMap(row.window, first.window)).toBe(true)
    }
  })

  test('a frame with every kind of column that is torn is an error at every length', () => {
    const whole = encoded([
      {
        i: 1,
        f: 0.5,
        s: 'é',
        t: ['a', 1],
        b: Uint8Array.of(1),
        n: null,
        d: new Date(1),
        m: new Map(),
        g: 1n,
        o: { x: true },
      },
      { i: 1, f: 0.5, s: '語', t: [], b: Uint8Array.of(), n: 1, d: new Date(2), m: new Map(), g: 1n, o: { x: false } },
    ])
    for (let n = 0; n < whole.length; n++) expect(() => decoded(whole.slice(0, n))).toThrow()
  })

  test('bytes travel as bytes wherever they are, also in rows of changing shape', () => {
    const image = new Uint8Array(10_000)
    expect(encoded([{ frame: { image } }, { list: [image] }, image]).length).toBeLessThan(30_300)
  })

  test('a kept string does not keep the rows it came with', () => {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    const long = 'y'.repeat(200_000)
    const frame = encoded(Array.from({ length: 5000 }, (_, i) => ({ text: `${i} ${'x'.repeat(100)}` })))
    const mixedFrame = encoded([{ text: 'a short neighbour' }, { text: long }])
    const kept: unknown[] = []
    gc()
    const before = process.memoryUsage().heapUsed
    for (let k = 0; k < 40; k++) {
      kept.push((decoded(frame)[k] as { text: string }).text)
      kept.push((decoded(mixedFrame)[0] as { text: string }).text)
    }
    gc()
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(4 * 2 ** 20)
    expect(kept).toHaveLength(80)
  })
})

describe('values that cannot cross threads', () => {
  class Point {
    x = 1
  }
  const circle: unknown[] = []
  for (let i = 0; i < 10; i++) circle.push({ next: circle })
  const rows = (odd: unknown): unknown[] =>
    Array.from({ length: 400 }, (_, i) => (i === 300 ? { id: i, at: { deep: odd } } : { id: i, at: { deep: i } }))

  test.each([
    ['a class instance', new Point(), 'is an instance of Point'],
    ['a function', () => 1, 'is a function'],
    ['a symbol', Symbol('s'), 'is a symbol'],
    ['a subclass of Array', new (class List extends Array {})(), 'is an instance of List'],
    ['an array that says it is an object', Object.setPrototypeOf([1], Object.prototype), 'is an instance of Object'],
    ['a regular expression', /x/, 'is an instance of RegExp'],
    ['numbers in a typed array', new Float64Array(1), 'is an instance of Float64Array'],
  ])('%s is refused with its place', (_, odd, what) => {
    expect(() => encoded(rows(odd))).toThrow(`in the batch, [300].at.deep ${what}`)
    expect(() => encoded(rows([odd]))).toThrow(`in the batch, [300].at.deep[0] ${what}`)
  })

  test('a property named by a symbol is refused in any row, rather than lost', () => {
    const odd = rows(1)
    odd[300] = { id: 1, at: { deep: 1 }, [Symbol('hidden')]: 1 }
    expect(() => encoded(odd)).toThrow('[300][Symbol(hidden)] is a property named by a symbol')
    const few = [{ rare: 1 }, { rare: 1, [Symbol('hidden')]: 1 }]
    expect(() => encoded(few)).toThrow('[1][Symbol(hidden)] is a property named by a symbol')
  })

  test('what refers to itself is refused at once', () => {
    const list: unknown[] = []
    for (let i = 0; i < 10; i++) list.push(list)
    const object: Record<string, unknown> = {}
    object.self = object
    for (const odd of [circle, list, object]) expect(() => encoded(rows(odd))).toThrow('refers to itself')
  })

  test('a getter that throws is an error with the code of rows', () => {
    const row = Object.defineProperty({}, 'x', {
      enumerable: true,
      get() {
        throw new Error('no')
      },
    })
    expect(() => encoded([row])).toThrow(expect.objectContaining({ code: 'ROW_VALUE' }))
  })
})

describe('where code generation is forbidden', () => {
  afterEach(() => {
    vi.unstubAllGlobals()
  })

  test('rows come back equal', () => {
    const forbidden = vi.fn(function forbid() {
      throw new EvalError('Code generation from strings disallowed for this context')
    })
    vi.stubGlobal('Function', forbidden)
    const batch = Array.from({ length: 200 }, (_, i) => ({ 'no code': i, for: { this: [i], shape: `${i}` } }))
    for (let k = 0; k < 3; k++) expectSame(roundTrip(batch), batch)
    expect(forbidden).toHaveBeenCalled()
  })
})
