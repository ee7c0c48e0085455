import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RemoteError } from '../remote-error.ts'
import { decode, encode } from './codec.ts'

const draws = Math.max(1, Math.round(500 * Number(process.env.MILLRACE_CASES ?? 1)))

/** Everything the codec says it keeps, in everything that holds values. */
const { value } = fc.letrec((tie) => {
  const leaf = fc.oneof(
    fc.constantFrom(null, undefined, true, false, -0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
    fc.double(),
    fc.integer(),
    fc.string({ unit: 'binary' }),
    fc.bigInt(),
    fc.date({ noInvalidDate: false }),
    fc.uint8Array({ maxLength: 20 }),
    fc.float64Array({ maxLength: 5 }),
    fc.int16Array({ maxLength: 5 }),
    fc.bigUint64Array({ maxLength: 3 }),
    fc.uint8Array({ maxLength: 9 }).map((bytes) => bytes.slice().buffer),
  )
  const key = fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom('$', '__proto__', 'constructor', 'toJSON', ''))
  const inner = tie('value')
  const object = fc.array(fc.tuple(key, inner), { maxLength: 4 }).map((entries) => Object.fromEntries(entries))
  return {
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      leaf,
      fc.array(inner, { maxLength: 4 }),
      object,
      fc.array(fc.tuple(inner, inner), { maxLength: 3 }).map((entries) => new Map(entries)),
      fc.array(inner, { maxLength: 3 }).map((items) => new Set(items)),
    ),
  }
})

describe('the codec', () => {
  test('gives back every value it keeps, structurally equal', () => {
    fc.assert(
      fc.property(value, (given) => {
        deepStrictEqual(decode(encode(given)), given)
      }),
      { numRuns: draws },
    )
  })

  test('reads any bytes as a value or refuses them with PROTOCOL_ERROR', () => {
    const framed = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.json().map((json) => Buffer.concat([Buffer.from([0]), Buffer.from(json)])),
      fc.tuple(fc.json(), fc.uint8Array({ maxLength: 9 })).map(([json, rest]) => {
        const text = Buffer.from(json)
        const length = Buffer.alloc(4)
        length.writeUInt32LE(text.length)
        return Buffer.concat([Buffer.from([2]), length, text, rest])
      }),
    )
    fc.assert(
      fc.property(framed, (bytes) => {
        try {
          decode(bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'PROTOCOL_ERROR' })
        }
      }),
      { numRuns: draws },
    )
    expect(({} as { polluted?: boolean }).polluted).toBe(undefined)
  })

  test.each([
    ['a function', { a: [() => 1] }, 'a[0]'],
    ['a symbol', [Symbol('s')], '[0]'],
    ['an instance of a class', { at: new URL('http://x') }, 'at'],
    ['a DataView', { v: new DataView(new ArrayBuffer(1)) }, 'v'],
  ])('refuses %s, by its path', (_, given, path) => {
    expect(() => encode(given)).toThrow(RemoteError)
    try {
      encode(given)
    } catch (error) {
      expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', data: { path } })
    }
  })

  test('keeps names apart that JSON escapes, also after an object whose name is a backslash', () => {
    for (const name of ['"', '\\', '\n', '\udc00', 'a"b']) {
      for (let i = 0; i < 100; i++) JSON.parse(`{"at":${i},${JSON.stringify('\\')}:1}`)
      const value = { at: 1, [name]: [{ at: 2, [name]: 3 }] }
      expect(decode(encode(value))).toEqual(value)
    }
  })

  test('refuses a value that contains itself', () => {
    const list: unknown[] = []
    list.push(list)
    expect(() => encode(list)).toThrow('contains itself')
  })

  test('refuses text that nests deeper than the stack, and goes on', () => {
    const deep = Buffer.from(`[${'['.repeat(100_000)}${']'.repeat(100_000)},[]]`)
    const length = Buffer.alloc(4)
    length.writeUInt32LE(deep.length)
    expect(() => decode(Buffer.concat([Buffer.from([2]), length, deep]))).toThrow(RemoteError)
    expect(decode(encode(1))).toBe(1)
  })
})
