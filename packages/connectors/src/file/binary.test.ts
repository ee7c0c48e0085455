import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readAll, TestFolder, testContext } from '../../test/test-files.ts'
import { binary, type LengthPrefix } from './index.ts'

let folder: TestFolder
beforeEach(() => {
  folder = new TestFolder()
})
afterEach(() => folder.remove())

const text = (bytes: Uint8Array): string => {
  const decoded = Buffer.from(bytes).toString()
  if (decoded === 'bad') throw new Error('it is bad')
  return decoded
}

function prefixed(...texts: string[]): Buffer {
  return Buffer.concat(texts.flatMap((t) => [Buffer.from([t.length, 0]), Buffer.from(t)]))
}

describe('binary records as a source', () => {
  test('of one size are cut by it; a last one that is not whole is rejected', async () => {
    const path = folder.file('in.bin', 'abcdefg')
    const source = binary({ path, recordBytes: 2, decode: text })
    expect(await readAll(source)).toMatchObject({
      rows: ['ab', 'cd', 'ef'],
      lines: [1, 2, 3],
      rejected: ['RECORD_TRUNCATED 4'],
    })
    expect(await readAll(source, { byte: 4, line: 2 })).toMatchObject({ rows: ['ef'], lines: [3] })
  })

  test('with a length in front may be empty, bad or too large without costing others', async () => {
    const path = folder.file('in.bin', prefixed('one', '', 'bad', 'x'.repeat(60), 'two'))
    const source = binary({ path, lengthPrefixed: 'u16le', maxRecordBytes: 50, decode: text })
    expect(await readAll(source)).toMatchObject({
      rows: ['one', '', 'two'],
      lines: [1, 2, 5],
      rejected: ['RECORD_DECODE 3', 'RECORD_TOO_LARGE 4'],
    })
  })

  test('that end inside a length, a record or a too large record are rejected once', async () => {
    for (const content of [
      Buffer.from([3]),
      prefixed('abc').subarray(0, 4),
      prefixed('x'.repeat(60)).subarray(0, 30),
    ]) {
      const path = folder.file('in.bin', Buffer.concat([prefixed('ok'), content]))
      const source = binary({ path, lengthPrefixed: 'u16le', maxRecordBytes: 50, decode: text })
      const result = await readAll(source)
      expect(result).toMatchObject({ rows: ['ok'], rejected: ['RECORD_TRUNCATED 2'] })
      expect(result.next).toEqual({ byte: 4 + content.length, line: 2 })
    }
  })

  test('larger than a block and its limit are skipped without being held', async () => {
    const huge = Buffer.alloc(1_000_000, 120)
    const head = Buffer.alloc(4)
    head.writeUInt32BE(huge.length)
    const path = folder.file('in.bin', Buffer.concat([head, huge, Buffer.from([0, 0, 0, 2]), Buffer.from('ok')]))
    const source = binary({ path, lengthPrefixed: 'u32be', maxRecordBytes: 1000, decode: text })
    expect(await readAll(source)).toMatchObject({ rows: ['ok'], rejected: ['RECORD_TOO_LARGE 1'] })
  })
})

describe('binary records as a sink', () => {
  const context = { ...testContext(), instance: { index: 0, count: 1 } }

  test.each<LengthPrefix>(['u16le', 'u16be', 'u32le', 'u32be'])(
    'with %s lengths are read back',
    async (lengthPrefixed) => {
      const connector = binary<string>({
        path: folder.at('x.bin'),
        lengthPrefixed,
        encode: (t) => Buffer.from(t),
        decode: text,
      })
      const writer = await connector.open(context)
      const rows = ['one', '', 'two'.repeat(100)]
      folder.file('x.bin', writer.write({ length: 3, row: (i: number) => rows[i] } as never) as Uint8Array)
      expect((await readAll(connector)).rows).toEqual(rows)
    },
  )

  test('of another size than was said are refused', async () => {
    const connector = binary<string>({ path: folder.at('x.bin'), recordBytes: 2, encode: (t) => Buffer.from(t) })
    const writer = await connector.open(context)
    expect(() => writer.write({ length: 1, row: () => 'abc' } as never)).toThrow('it has 3 bytes instead of 2')
    await expect(
      readAll(binary({ path: folder.file('x.bin', 'ab'), recordBytes: 2, encode: () => Buffer.alloc(2) })),
    ).rejects.toThrow('needs decode')
  })
})
