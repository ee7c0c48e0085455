import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeBatch, encodeBatch, readRecord, recordBytes, writeRecord } from './records.ts'

/** Times MILLRACE_CASES. */
const runs = (n: number): number => Math.max(1, Math.round(n * Number(process.env.MILLRACE_CASES ?? 1)))

const bytes = fc.uint8Array({ maxLength: 40 })
const record = fc.record({
  timestamp: fc.double({ noNaN: true }),
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.array(fc.record({ name: fc.string({ unit: 'binary', maxLength: 10 }), value: bytes }), { maxLength: 3 }),
})
const batch = fc.array(record, { minLength: 1, maxLength: 20 })

const plain = (value: unknown): unknown =>
  JSON.stringify(value, (_, v) => (v instanceof Uint8Array ? [...v] : Object.is(v, -0) ? '-0' : v))

test('a batch comes back as it was written', () => {
  fc.assert(
    fc.property(batch, (records) => {
      const encoded = encodeBatch(records)
      const decoded = decodeBatch(encoded, 'here')
      expect(decoded.map((r) => r.delta)).toEqual(records.map((_, i) => i))
      const { length } = decoded
      for (let i = 0; i < length; i++) {
        const { delta: _, key, value, headers, timestamp } = decoded[i]
        const view = (b: Uint8Array | null): Uint8Array | null => (b === null ? null : Uint8Array.from(b))
        expect(timestamp).toBe(records[i].timestamp)
        expect(
          plain({ key: view(key), value: view(value), headers: headers?.map((h) => [h.name, view(h.value)]) }),
        ).toBe(
          plain({
            key: records[i].key,
            value: records[i].value,
            headers: records[i].headers.map((h) => [h.name, h.value]),
          }),
        )
      }
    }),
    { numRuns: runs(100) },
  )
})

test('a record takes as many bytes as was said, and is read where it was written', () => {
  fc.assert(
    fc.property(record, fc.nat(50), (one, at) => {
      const size = recordBytes(one)
      const out = Buffer.alloc(at + size)
      expect(writeRecord(out, at, one, 7)).toBe(at + size)
      expect(readRecord(out, at).delta).toBe(7)
    }),
    { numRuns: runs(50) },
  )
})

test('a batch with any byte changed, or cut anywhere, is refused and never read as something else', () => {
  fc.assert(
    fc.property(batch, fc.nat(), fc.integer({ min: 1, max: 255 }), (records, where, by) => {
      const encoded = encodeBatch(records)
      const changed = Buffer.from(encoded)
      changed[where % changed.length] ^= by
      expect(() => decodeBatch(changed, 'here')).toThrow('cannot be read')
      expect(() => decodeBatch(encoded.subarray(0, where % encoded.length), 'here')).toThrow('cannot be read')
    }),
    { numRuns: runs(100) },
  )
})
