import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteReader, ByteWriter } from '../batch/bytes.ts'
import { cases } from '../testing/cases.ts'
import { equalValues } from '../testing/equal-values.ts'
import { checkValue, codec, parse, stringify } from './codec.ts'

const key = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true }).map((n) => n + 0),
  fc.string({ unit: 'binary' }),
  fc.bigInt(),
  fc.boolean(),
)

const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { depthSize: 'small' },
    fc.integer(),
    fc.double(),
    fc.string(),
    fc.boolean(),
    fc.constantFrom(null, undefined, -0, Number.NaN, Number.NEGATIVE_INFINITY),
    fc.bigInt(),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array({ maxLength: 10 }),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.string(), fc.constantFrom('$m', 'v', '__proto__', 'constructor')), tie('any'), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
    fc.array(fc.tuple(tie('any'), tie('any')), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    fc.array(tie('any'), { maxLength: 3 }).map((items) => new Set(items)),
  ),
})).any

describe('tagged JSON', () => {
  test('gives every supported value back', () => {
    fc.assert(
      fc.property(value, (v) => {
        // Node's comparison: vitest's does not see through an own property called 'constructor'.
        expect(equalValues(parse(stringify(v)), v)).toBe(true)
      }),
      { numRuns: cases(300) },
    )
  })

  test('plain JSON is written as it is', () => {
    const plain = { a: [1, 'x', null, { b: true }] }
    expect(stringify(plain)).toBe(JSON.stringify(plain))
  })

  test('an object of the user that looks like a tag stays one', () => {
    for (const v of [{ $m: 'bigint', v: '12' }, { $m: undefined }, { $m: null }]) {
      expect(parse(stringify(v))).toStrictEqual(v)
    }
  })

  test('names with characters that JSON escapes stay apart, also after an object whose name is a backslash', () => {
    for (const name of ['"', '\\', '\n', '\udc00', 'a"b', '\\u', '😀']) {
      for (let i = 0; i < 100; i++) JSON.parse(`{"at":${i},${JSON.stringify('\\')}:1}`)
      for (const value of [
        { at: 1, [name]: 1 },
        { at: 1, nested: [{ at: 2n, [name]: undefined }] },
      ]) {
        expect(parse(stringify(value))).toEqual(value)
        expect(Object.keys(parse(stringify(value)) as object)).toEqual(Object.keys(value))
      }
    }
    expect(stringify({ text: 'two\nlines' })).toBe('{"text":"two\\nlines"}')
  })

  test('an own __proto__ property neither pollutes nor vanishes', () => {
    const v = JSON.parse('{"__proto__":{"polluted":true},"n":null}') as object
    const again = parse(stringify({ v, big: 1n })) as { v: object }
    expect(Object.hasOwn(again.v, '__proto__')).toBe(true)
    expect((again.v as { polluted?: boolean }).polluted).toBeUndefined()
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
  })

  test('what it cannot give back is refused with its path', () => {
    const cyclic: { self?: unknown } = {}
    cyclic.self = cyclic
    for (const bad of [
      cyclic,
      { f: () => 1 },
      [Symbol('x')],
      new (class A {})(),
      new Error('x'),
      /x/,
      new Float64Array(1),
    ]) {
      expect(() => checkValue(bad)).toThrow()
    }
    expect(() => checkValue({ a: new Map([['k', [() => 1]]]) })).toThrow('a.get("k")[0] is a function')
  })
})

describe('codec', () => {
  test('needs a name and a version of one byte', () => {
    const functions = { encode: (v: unknown) => v, decode: (v: unknown) => v }
    for (const bad of [
      { name: '', version: 1 },
      { name: 'x', version: 256 },
      { name: 'x', version: 1.5 },
    ]) {
      expect(() => codec({ ...bad, ...functions })).toThrow(expect.objectContaining({ code: 'CODEC' }))
    }
  })
})

describe('bytes', () => {
  test('everything written is read back in order', () => {
    const size = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
    const parts = fc.array(fc.tuple(key, size, fc.string(), fc.double(), fc.uint8Array({ maxLength: 300 })), {
      maxLength: 20,
    })
    fc.assert(
      fc.property(parts, (list) => {
        const w = new ByteWriter(1)
        for (const [k, n, text, f, bytes] of list) {
          w.key(k)
          w.varint(n)
          w.utf8(text)
          w.f64(f)
          w.bytes(bytes)
          w.u32(n % 2 ** 32)
          w.u8(n % 256)
        }
        const r = new ByteReader(w.take())
        for (const [k, n, text, f, bytes] of list) {
          expect(r.key()).toBe(k)
          expect(r.varint()).toBe(n)
          expect(r.utf8()).toBe(text.toWellFormed())
          expect(r.f64()).toBe(f)
          expect([...r.bytes()]).toEqual([...bytes])
          expect([r.u32(), r.u8()]).toEqual([n % 2 ** 32, n % 256])
        }
        expect(r.remaining).toBe(0)
      }),
      { numRuns: cases(100) },
    )
  })

  test('a key with a lone surrogate is the same key again', () => {
    const w = new ByteWriter()
    w.key('a\ud800b')
    expect(new ByteReader(w.take()).key()).toBe('a\ud800b')
  })

  test('torn bytes fail, wherever they are cut', () => {
    const w = new ByteWriter()
    w.utf8('some text')
    w.f64(1)
    const whole = w.take()
    for (let cut = 0; cut < whole.length; cut++) {
      const r = new ByteReader(whole.subarray(0, cut))
      expect(() => [r.utf8(), r.f64()]).toThrow(expect.objectContaining({ code: 'BYTES_SHORT' }))
    }
  })
})
