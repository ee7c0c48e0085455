import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readAll, TestFolder } from '../../test/test-files.ts'
import { csvEncoder } from './csv-encoder.ts'
import { type CsvOptions, csv } from './index.ts'

let folder: TestFolder
beforeEach(() => {
  folder = new TestFolder()
})
afterEach(() => folder.remove())

const read = (content: string | Uint8Array, options: Omit<CsvOptions, 'path'> = {}) =>
  readAll(csv<Record<string, unknown>>({ path: folder.file('in.csv', content), ...options }))

describe('CSV as a source', () => {
  test('names the fields after the first line', async () => {
    expect(await read('a,b\n1,x\n2,\n')).toMatchObject({
      rows: [
        { a: '1', b: 'x' },
        { a: '2', b: '' },
      ],
      lines: [2, 3],
    })
  })

  test('quoted fields hold delimiters, doubled quotes and line breaks; lines are counted through them', async () => {
    const { rows, lines, rejected } = await read('a,b\r\n"x,y","say ""hi"""\r\n"two\r\nlines",2\r\n3,4')
    expect(rows).toEqual([
      { a: 'x,y', b: 'say "hi"' },
      { a: 'two\r\nlines', b: '2' },
      { a: '3', b: '4' },
    ])
    expect(lines).toEqual([2, 3, 5])
    expect(rejected).toEqual([])
  })

  test('each bad record costs its first line and nothing else', async () => {
    const content = 'a,b\n1,2\n1\n1,2,3\n"x"y,2\n3,4\n"open,5\n6,7\n'
    const { rows, rejected } = await read(content)
    expect(rows).toEqual([
      { a: '1', b: '2' },
      { a: '3', b: '4' },
      { a: '6', b: '7' },
    ])
    expect(rejected).toEqual(['CSV_FIELDS 3', 'CSV_FIELDS 4', 'CSV_QUOTE 5', 'CSV_QUOTE 7'])
  })

  test('a quote that is never closed costs one line of a large file', async () => {
    const good = Array.from({ length: 200_000 }, (_, i) => `${i},text\n`).join('')
    const { rows, rejected } = await read(`a,b\n"open,1\n${good}`)
    expect(rows).toHaveLength(200_000)
    expect(rejected).toEqual(['CSV_QUOTE 2'])
  })

  test('a quote inside a field that did not begin with one is a character', async () => {
    expect((await read('a,b\n5" pipe,x\n')).rows).toEqual([{ a: '5" pipe', b: 'x' }])
  })

  test('gives the columns that were asked for, with their types', async () => {
    const { rows, rejected, bad } = await read(
      'id,at,ok,note,n\n1,2.5,true,é,7\n1,,true,,7\nx,1,0,"",\n1,2,maybe,,1\n',
      {
        columns: { at: 'number', ok: 'boolean', note: 'string?', n: 'bigint?', id: (text) => `#${text}` },
      },
    )
    expect(rows).toEqual([
      { at: 2.5, ok: true, note: 'é', n: 7n, id: '#1' },
      { at: 1, ok: false, note: undefined, n: undefined, id: '#x' },
    ])
    expect(rejected).toEqual(['CSV_VALUE 3', 'CSV_VALUE 5'])
    expect(bad[0].message).toBe('column "at": "" is no number.')
  })

  test('a column function that throws rejects the record', async () => {
    const parse = (text: string): URL => new URL(text)
    const { rows, rejected } = await read('url\nhttp://a/\nno\n', { columns: { url: parse } })
    expect(rows).toEqual([{ url: new URL('http://a/') }])
    expect(rejected).toEqual(['CSV_VALUE 3'])
  })

  test('reads other delimiters and quotes, and files without a header', async () => {
    const options = { header: false, columns: ['a', 'b'], delimiter: '\t', quote: "'" }
    expect((await read("1\t'x\ty'\n", options)).rows).toEqual([{ a: '1', b: 'x\ty' }])
    expect((await read('"1;2\n', { header: false, columns: ['a', 'b'], delimiter: ';', quote: false })).rows).toEqual([
      { a: '"1', b: '2' },
    ])
  })

  test('byte order mark, NUL, invalid UTF-8 and too long a record', async () => {
    const content = Buffer.concat([
      Buffer.from('\ufeffa,b\n\0,1\n'),
      Buffer.from([0xff, 0x2c, 0x31, 0x0a]),
      Buffer.from(`${'x'.repeat(100)},1\n2,3\n`),
    ])
    const { rows, rejected } = await read(content, { maxRecordBytes: 50 })
    expect(rows).toEqual([
      { a: '\0', b: '1' },
      { a: '2', b: '3' },
    ])
    expect(rejected).toEqual(['UTF8_INVALID 3', 'RECORD_TOO_LARGE 4'])
  })

  test('a header that lacks a column, names one twice, or poisons objects is an error', async () => {
    await expect(read('a,b\n1,2\n', { columns: ['a', 'c'] })).rejects.toThrow('has no column "c"')
    await expect(read('a,a\n1,2\n')).rejects.toMatchObject({ code: 'CSV_HEADER' })
    await expect(read('__proto__,a\n1,2\n')).rejects.toMatchObject({ code: 'CSV_HEADER' })
    expect(() => csv({ path: 'x.csv', header: false })).toThrow('needs columns')
    expect(() => csv({ path: 'x.csv', delimiter: '::' })).toThrow('must be one ASCII character')
  })

  test('goes on behind the header, and behind a record of several lines', async () => {
    const content = 'a,b\n1,"x\ny"\n2,z\n'
    const { next } = await readAll(csv({ path: folder.file('in.csv', content) }), undefined, 1)
    expect(next).toEqual({ byte: 16, line: 4 })
    const source = csv({ path: folder.at('in.csv') })
    expect(await readAll(source, { byte: 12, line: 3 })).toMatchObject({ rows: [{ a: '2', b: 'z' }], lines: [4] })
  })

  test('whatever texts are written are read back', async () => {
    const texts = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'é', '\0'), maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(texts, texts), { maxLength: 8 }), async (pairs) => {
        const rows = pairs.map(([a, b]) => ({ a, b }))
        const { header, encode } = csvEncoder(['a', 'b'], { delimiter: 44, quote: 34, hasHeader: true })
        const result = await read(Buffer.concat([header, ...rows.map((row) => Buffer.from(encode(row)))]))
        expect(result.rows).toEqual(rows)
        expect(result.rejected).toEqual([])
      }),
      { numRuns: 60 },
    )
  })
})
