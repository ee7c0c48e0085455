import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Batch, RowBatch } from '../batch/batch.ts'
import { ByteReader, ByteWriter } from '../batch/bytes.ts'
import { columnsFromRows } from '../batch/column-builder.ts'
import { ColumnBatch } from '../batch/columns.ts'
import type { CanonicalKey } from '../batch/key.ts'
import { object, schema } from '../batch/schema.ts'
import { cases } from '../testing/cases.ts'
import type { Element } from './element.ts'
import { decodeBatch, decodeElement, encodeBatch, encodeElement } from './frame.ts'

const everyKind = schema({
  i: 'int32',
  f: 'float64?',
  l: 'int64',
  b: 'bool',
  s: 'string',
  n: 'string?',
  y: 'bytes?',
  o: object<unknown>(),
})

function roundTrip(batch: Batch): Batch {
  const writer = new ByteWriter()
  encodeBatch(writer, batch)
  const bytes = writer.take()
  const decoded = decodeBatch(new ByteReader(bytes))
  // R2: the ring may reuse the memory.
  bytes.fill(255)
  return decoded
}

function contents(batch: Batch): unknown {
  const indices = Array.from({ length: batch.length }, (_, i) => i)
  return {
    rows: indices.map((i) => batch.keep(i)),
    times: Array.from(batch.times),
    keys: batch.keys === undefined ? undefined : Array.from(batch.keys),
    weights: batch.weights,
    origin: batch.origin && [batch.origin.source, batch.origin.partition, ...indices.map((i) => batch.origin?.at(i))],
  }
}

const bytes = fc.uint8Array({ maxLength: 40 }).map((b) => new Uint8Array(b))

const anyRow: fc.Arbitrary<unknown> = fc.oneof(
  fc.record({ a: fc.integer(), text: fc.string({ unit: 'binary' }), list: fc.array(fc.double()) }),
  fc.record({
    id: fc.bigInt(),
    at: fc.date({ noInvalidDate: true }),
    image: bytes,
    nested: fc.record({ mask: bytes }),
  }),
  fc.record({ $m: fc.constantFrom('bytes', 1), v: bytes }),
  fc.constant(new Map<unknown, unknown>([[1, new Set(['x'])]])),
  fc.jsonValue(),
)

const anyKey: fc.Arbitrary<CanonicalKey> = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true }).map((x) => x + 0),
  fc.string({ unit: 'binary' }),
  fc.boolean(),
  fc.bigInt(),
)

const anyKeys = (n: number): fc.Arbitrary<CanonicalKey[] | undefined> =>
  fc.oneof(
    fc.constant(undefined),
    fc.array(fc.integer(), { minLength: n, maxLength: n }),
    fc.array(fc.double({ noNaN: true }), { minLength: n, maxLength: n }).map((keys) => keys.map((k) => k + 0)),
    fc.array(anyKey, { minLength: n, maxLength: n }),
  )

const anyHeader = (n: number) =>
  fc.record({
    times: fc.array(fc.double(), { minLength: n, maxLength: n }),
    keys: anyKeys(n),
    weights: fc.option(
      fc.array(fc.constantFrom(1, -1), { minLength: n, maxLength: n }).map((w) => Int8Array.from(w)),
      { nil: undefined },
    ),
    origin: fc.constantFrom(
      undefined,
      { source: 'src', partition: 'p/0', at: (i: number) => i * 7 },
      { source: 'src', partition: '', at: (i: number) => (i % 2 === 0 ? i : `line ${i}`) },
    ),
  })

const anyRowBatch = fc
  .integer({ min: 0, max: 600 })
  .chain((n) => fc.tuple(fc.array(anyRow, { minLength: n, maxLength: n, size: 'max' }), anyHeader(n)))
  .map(([rows, h]) => new RowBatch(rows, h.times, h.keys, h.weights, h.origin))

const anyTypedRow = fc.record({
  i: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  f: fc.option(fc.double()),
  l: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  b: fc.boolean(),
  s: fc.string({ maxLength: 2 }),
  n: fc.option(fc.string({ unit: 'binary', maxLength: 5 })),
  y: fc.option(bytes),
  o: anyRow.filter((v) => v !== null),
})

const anyColumnBatch = fc
  .integer({ min: 0, max: 60 })
  .chain((n) =>
    fc.record({
      rows: fc.array(anyTypedRow, { minLength: n, maxLength: n }),
      header: anyHeader(n),
      picked:
        n === 0 ? fc.constant(undefined) : fc.option(fc.array(fc.nat(n - 1), { maxLength: 80 }), { nil: undefined }),
    }),
  )
  .map(({ rows, header, picked }) => {
    const built = columnsFromRows(everyKind, rows, header.times).rekey(header.keys)
    return picked === undefined ? built : built.select(picked, picked.length)
  })

describe('frames', () => {
  test('a batch of rows comes back equal', () => {
    fc.assert(
      fc.property(anyRowBatch, (batch) => {
        expect(contents(roundTrip(batch))).toEqual(contents(batch))
      }),
      { numRuns: cases(60) },
    )
  })

  test('a batch of columns comes back equal, as columns, without what its selection left out', () => {
    fc.assert(
      fc.property(anyColumnBatch, (batch) => {
        const back = roundTrip(batch)
        expect(back).toBeInstanceOf(ColumnBatch)
        expect((back as ColumnBatch).column('i')).toHaveLength(batch.length)
        expect(contents(back)).toEqual(contents(batch))
      }),
      { numRuns: cases(60) },
    )
  })

  test('markers come back equal', () => {
    const markers: Element[] = [
      { type: 'watermark', time: 12.5 },
      { type: 'watermark', time: Number.POSITIVE_INFINITY },
      { type: 'idle', isIdle: true },
      { type: 'idle', isIdle: false },
      { type: 'barrier', epoch: 2 ** 40 },
    ]
    const writer = new ByteWriter()
    for (const marker of markers) encodeElement(writer, marker)
    const reader = new ByteReader(writer.take())
    expect(markers.map(() => decodeElement(reader))).toEqual(markers)
  })

  test('bytes of a row travel as bytes, not as text', () => {
    const writer = new ByteWriter()
    encodeBatch(writer, new RowBatch([{ image: new Uint8Array(10_000) }], [1]))
    expect(writer.length).toBeLessThan(10_100)
  })

  test('a row with a class instance is refused with its place in the batch', () => {
    class Point {}
    expect(() => encodeBatch(new ByteWriter(), new RowBatch([{ at: new Point() }], [1]))).toThrow(
      'a row cannot go to another thread: in the batch, [0].at is an instance of Point.',
    )
  })

  test('a frame whose schema is unknown is refused', () => {
    const writer = new ByteWriter()
    encodeBatch(writer, columnsFromRows(schema({ x: 'int32' }), [{ x: 1 }], [1]))
    expect(() => decodeBatch(new ByteReader(writer.take()), () => undefined)).toThrow('does not know')
  })

  test('a torn frame is an error at every length', () => {
    const writer = new ByteWriter()
    encodeBatch(
      writer,
      new RowBatch([{ a: 1 }], [1], ['k'], Int8Array.of(1), { source: 's', partition: 'p', at: () => 'x' }),
    )
    const whole = writer.take()
    for (let n = 0; n < whole.length; n++) expect(() => decodeBatch(new ByteReader(whole.slice(0, n)))).toThrow()
  })
})
