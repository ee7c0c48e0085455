import { appendFileSync, truncateSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { type BadRecord, RowBatch } from 'millrace/connector'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { readAll, TestFolder, testContext } from '../../test/test-files.ts'
import { jsonLines, type StandardSchema } from './index.ts'
import { jsonLine } from './json-lines-encoder.ts'

let folder: TestFolder
beforeEach(() => {
  folder = new TestFolder()
})
afterEach(() => folder.remove())

const source = (content: string | Uint8Array, options: { maxLineBytes?: number; encoding?: 'utf8' | 'latin1' } = {}) =>
  jsonLines<unknown>({ path: folder.file('in.jsonl', content), ...options })

describe('JSON lines as a source', () => {
  test('reads one value per line, the last one also without a line break', async () => {
    expect(await readAll(source('{"a":1}\n{"a":2}\n3'))).toMatchObject({
      rows: [{ a: 1 }, { a: 2 }, 3],
      lines: [1, 2, 3],
      rejected: [],
    })
  })

  test('skips empty and blank lines and counts them', async () => {
    expect(await readAll(source('\n1\r\n\r\n  \n2\n\n'))).toMatchObject({ rows: [1, 2], lines: [2, 5], rejected: [] })
  })

  test('reads an empty file, and one with nothing but a byte order mark, as no rows', async () => {
    expect((await readAll(source(''))).rows).toEqual([])
    expect(await readAll(source('\ufeff'))).toMatchObject({ rows: [], rejected: [] })
  })

  test('ignores a byte order mark and takes CRLF as a line break', async () => {
    expect((await readAll(source('\ufeff{"a":1}\r\n{"a":2}\r\n'))).rows).toEqual([{ a: 1 }, { a: 2 }])
  })

  test('a truncated last line is rejected and says that the file may be cut off', async () => {
    const { rows, bad } = await readAll(source('{"a":1}\n{"a":'))
    expect(rows).toEqual([{ a: 1 }])
    expect(bad).toMatchObject([{ code: 'JSON_INVALID', at: 2, raw: '{"a":' }])
    expect(bad[0].message).toContain('may be cut off')
  })

  test('each bad line costs itself and nothing else', async () => {
    const lines = [
      Buffer.from('{"n":1}\n'),
      Buffer.from('{"n":\n'),
      Buffer.from('{"n":2}\n'),
      Buffer.from([0x22, 0xff, 0xfe, 0x22, 0x0a]),
      Buffer.from('"é\u{1f600}"\n'),
      Buffer.from(`"${'x'.repeat(200)}"\n`),
      Buffer.from('\0\0\0\n'),
      Buffer.from('{"n":3}}\n'),
      Buffer.from('{"n":4}\n'),
    ]
    const { rows, rejected, bad } = await readAll(source(Buffer.concat(lines), { maxLineBytes: 100 }))
    expect(rows).toEqual([{ n: 1 }, { n: 2 }, 'é\u{1f600}', { n: 4 }])
    expect(rejected).toEqual([
      'JSON_INVALID 2',
      'UTF8_INVALID 4',
      'RECORD_TOO_LARGE 6',
      'JSON_INVALID 7',
      'JSON_INVALID 8',
    ])
    expect(bad[1].raw).toBe('"\ufffd\ufffd"')
  })

  test('a line of megabytes is skipped without being held, and what is kept of it is 4 KiB', async () => {
    const huge = `"${'x'.repeat(3_000_000)}"`
    const { rows, lines, bad } = await readAll(source(`1\n${huge}\n2\n${huge}`))
    expect(rows).toEqual([1, 2])
    expect(lines).toEqual([1, 3])
    expect(bad.map((b: BadRecord) => [b.code, b.at, String(b.raw).length])).toEqual([
      ['RECORD_TOO_LARGE', 2, 4096],
      ['RECORD_TOO_LARGE', 4, 4096],
    ])
  })

  test('characters and lines that lie across blocks of 256 KiB come whole', async () => {
    const rows = Array.from({ length: 30_000 }, (_, i) => ({ i, text: `é€\u{1f600}${'y'.repeat(i % 23)}` }))
    const result = await readAll(source(rows.map(jsonLine).join('')))
    expect(result.rows).toEqual(rows)
    expect(result.rejected).toEqual([])
  })

  test('goes on at the exact byte and line, also when the file has grown since', async () => {
    const file = source('1\n2\n')
    const first = await readAll(file)
    expect(first.next).toEqual({ byte: 4, line: 2 })
    appendFileSync(folder.at('in.jsonl'), '3\n4')
    expect(await readAll(file, first.next)).toMatchObject({ rows: [3, 4], lines: [3, 4], next: { byte: 7, line: 4 } })
  })

  test('a file that is shorter than the position is an error, not a new file', async () => {
    const file = source('1\n2\n3\n')
    const { next } = await readAll(file)
    truncateSync(folder.at('in.jsonl'), 2)
    await expect(readAll(file, next)).rejects.toMatchObject({ code: 'FILE_TRUNCATED', data: { size: 2, position: 6 } })
  })

  test('a position of another connector is refused', async () => {
    await expect(readAll(source('1\n'), 17)).rejects.toMatchObject({ code: 'FILE_POSITION' })
  })

  test('reads Latin-1 when told so', async () => {
    expect((await readAll(source(Buffer.from([0x22, 0xe9, 0x22, 10]), { encoding: 'latin1' }))).rows).toEqual(['é'])
  })

  test('hostile names and values stay data', async () => {
    const { rows } = await readAll(source('{"__proto__":{"polluted":1},"constructor":"x"}\n'))
    expect(Object.keys(rows[0] as object)).toEqual(['__proto__', 'constructor'])
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
  })

  test('reads compressed files, also from a position', async () => {
    const path = folder.file('in.jsonl.gz', gzipSync('1\n2\n3\n'))
    const first = await readAll(jsonLines({ path }))
    expect(first).toMatchObject({ rows: [1, 2, 3], next: { byte: 6, line: 3 } })
    expect(await readAll(jsonLines({ path }), { byte: 4, line: 2 })).toMatchObject({ rows: [3], lines: [3] })
  })

  test('a compressed file that is cut off is an error', async () => {
    const path = folder.file('in.jsonl.gz', gzipSync('1\n2\n3\n').subarray(0, 18))
    await expect(readAll(jsonLines({ path }))).rejects.toMatchObject({ code: 'FILE_GZIP' })
  })
})

describe('a schema', () => {
  const reading = z.object({ at: z.number(), unit: z.string().default('C') })

  test('turns what does not fit into SCHEMA_MISS and keeps what it changes', async () => {
    const path = folder.file('in.jsonl', '{"at":1}\n{"at":"x"}\n[]\n{"at":2,"unit":"K"}\n')
    const { rows, rejected, bad } = await readAll(jsonLines({ path, schema: reading }))
    expect(rows).toEqual([
      { at: 1, unit: 'C' },
      { at: 2, unit: 'K' },
    ])
    expect(rejected).toEqual(['SCHEMA_MISS 2', 'SCHEMA_MISS 3'])
    expect(bad[0].message).toContain('at: ')
  })

  test('that validates asynchronously is refused', async () => {
    const schema: StandardSchema<number> = {
      '~standard': { version: 1, vendor: 'test', validate: async () => ({ value: 1 }) },
    }
    const path = folder.file('in.jsonl', '1\n')
    await expect(readAll(jsonLines({ path, schema }))).rejects.toMatchObject({ code: 'SCHEMA_ASYNC' })
    expect(() => jsonLines({ path, schema: {} as never })).toThrow('no Standard Schema')
  })
})

describe('a followed file', () => {
  test('gives a line once its line break is there', async () => {
    const path = folder.file('in.jsonl', '1\n2')
    const ctx = testContext()
    const reader = await jsonLines<number>({ path, follow: true }).open(path, undefined, ctx)
    expect(await reader.read(10)).toMatchObject({ rows: [1], next: { byte: 2, line: 1 }, caughtUp: true })
    expect(await reader.read(10)).toMatchObject({ rows: [], next: { byte: 2, line: 1 }, caughtUp: true })
    ctx.onWait = () => appendFileSync(path, '2\n3\n')
    expect(await reader.read(10)).toMatchObject({ rows: [22, 3], next: { byte: 7, line: 3 }, caughtUp: true })
    await reader.close()
  })

  test('that got shorter stops the source', async () => {
    const path = folder.file('in.jsonl', '1\n2\n')
    const ctx = testContext()
    const reader = await jsonLines<number>({ path, follow: true }).open(path, undefined, ctx)
    await reader.read(10)
    truncateSync(path, 0)
    await expect(reader.read(10)).rejects.toMatchObject({ code: 'FILE_TRUNCATED' })
    await reader.close()
  })

  test('may be made after the flow has started', async () => {
    const path = folder.at('later.jsonl')
    const ctx = testContext()
    const file = jsonLines<number>({ path, follow: true })
    expect(await file.partitions(ctx)).toEqual([path])
    const reader = await file.open(path, undefined, ctx)
    expect(await reader.read(10)).toMatchObject({ rows: [], next: { byte: 0, line: 0 } })
    writeFileSync(path, '7\n')
    expect(await reader.read(10)).toMatchObject({ rows: [7], next: { byte: 2, line: 1 } })
    await reader.close()
  })
})

describe('the path of a source', () => {
  test('may be a list, a file: URL, or a pattern; each file is a partition, once', async () => {
    const [a, b] = [folder.file('a.jsonl', ''), folder.file('b.jsonl', '')]
    folder.file('c.txt', '')
    const partitions = (path: Parameters<typeof jsonLines>[0]['path']) => jsonLines({ path }).partitions(testContext())
    expect(await partitions([b, pathToFileURL(a), b])).toEqual([b, a])
    expect(await partitions(folder.at('*.jsonl'))).toEqual([a, b])
    expect(await partitions(`${folder.path}/../*/?.jsonl`.replace('/../*', ''))).toEqual([a, b])
    expect(await partitions(folder.at('**/*.txt'))).toEqual([folder.at('c.txt')])
  })

  test('that leads nowhere is an error which names it', async () => {
    await expect(readAll(jsonLines({ path: folder.at('none.jsonl') }))).rejects.toThrow('none.jsonl" does not exist')
    await expect(readAll(jsonLines({ path: folder.at('*.none') }))).rejects.toMatchObject({ code: 'FILE_MISSING' })
    expect(() => jsonLines({ path: [] })).toThrow('is an empty list')
    expect(() => jsonLines({ path: new URL('https://example.com/a') })).toThrow('not a file: URL')
  })
})

describe('one row as a line of JSON', () => {
  test('writes bigint as decimal text, a Date as ISO text, NaN as null', () => {
    expect(jsonLine({ big: 2n ** 64n, at: new Date(0), nan: Number.NaN })).toBe(
      '{"big":"18446744073709551616","at":"1970-01-01T00:00:00.000Z","nan":null}\n',
    )
  })

  test('is one line, whatever the texts hold', () => {
    expect(jsonLine({ text: 'a\n\u2028b\r\0"' }).trimEnd().split('\n')).toHaveLength(1)
    expect(jsonLine({})).toBe('{}\n')
  })

  test('refuses what JSON has no form for', async () => {
    const circular: { self?: unknown } = {}
    circular.self = circular
    for (const row of [undefined, () => 1, new Map([[1, 2]]), { inner: new Set([1]) }, circular]) {
      expect(() => jsonLine(row)).toThrow(TypeError)
    }
    const writer = await jsonLines({ path: folder.at('out.jsonl') }).open({
      ...testContext(),
      instance: { index: 0, count: 1 },
    })
    expect(() => writer.write(new RowBatch([1, undefined], [0, 0]))).toThrow(
      expect.objectContaining({ code: 'RECORD_ENCODE', step: 'in' }),
    )
  })
})
