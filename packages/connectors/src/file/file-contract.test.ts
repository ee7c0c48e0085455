import { readFileSync } from 'node:fs'
import { type ContractCheck, sinkContract, sourceContract } from 'millrace/testing'
import { describe, test } from 'vitest'
import { TestFolder } from '../../test/test-files.ts'
import { binary, csv, type FileConnector, jsonLines } from './index.ts'

const numbers = [1, 2, 3, 4, 5, 6, 7, 8, 9]

function run(checks: readonly ContractCheck[]): void {
  for (const check of checks) test(check.name, check.run)
}

/** A source fixture over two files, the second one empty. */
function files<T>(
  content: string | Uint8Array,
  make: (path: string[]) => FileConnector<T>,
  rows: readonly T[],
  rejected = 0,
) {
  return () => {
    const folder = new TestFolder()
    const [full, empty] = [folder.file('full', content), folder.file('empty', '')]
    return {
      source: make([full, empty]),
      rows: { [full]: rows, [empty]: [] },
      rejected: { [full]: rejected },
      close: () => folder.remove(),
    }
  }
}

const lines = '1\n\n2\n3\n{\n4\n"\xff\n5\r\n6\n7\n8\n\n9\nnull}'
describe('JSON lines keep the contract of sources', () => {
  run(sourceContract('bounded', { make: files(Buffer.from(lines), (path) => jsonLines<number>({ path }), numbers, 3) }))
  run(
    sourceContract('all bad at the end', {
      make: files('1\n2\n3\n{\n{\n', (path) => jsonLines<number>({ path }), [1, 2, 3], 2),
    }),
  )
  run(
    sourceContract('followed', {
      make: files('1\n2\n3\n{\n4\n5', (path) => jsonLines<number>({ path, follow: true }), [1, 2, 3, 4], 1),
    }),
  )
  const long = `1\n"${'x'.repeat(600_000)}"\n2\n"${'y'.repeat(300_000)}"\n3\n"${'z'.repeat(600_000)}"`
  run(
    sourceContract('long lines', {
      make: files(long, (path) => jsonLines<unknown>({ path, maxLineBytes: 1000 }), [1, 2, 3], 3),
      maxRows: 3,
    }),
  )
})

describe('CSV keeps the contract of sources', () => {
  const content = '\ufeffn,t\r\n1,"a\nb"\r\n2,"c"d\n3,é\n\n4,"""q"""\n5\n6,"open\n7,x\n'
  const rows = [
    { n: 1, t: 'a\nb' },
    { n: 3, t: 'é' },
    { n: 4, t: '"q"' },
    { n: 7, t: 'x' },
  ]
  run(
    sourceContract('csv', {
      make: files(content, (path) => csv({ path, columns: { n: 'number', t: 'string' } }), rows, 3),
    }),
  )
})

describe('binary records keep the contract of sources', () => {
  const bytes = Buffer.concat([1, 2, 3, 200, 4].map((n) => Buffer.concat([Buffer.from([n, 0]), Buffer.alloc(n, n)])))
  const make = (path: string[]) =>
    binary({
      path,
      lengthPrefixed: 'u16le',
      maxRecordBytes: 100,
      decode: (record) => {
        if (record.length === 3) throw new Error('three')
        return record.length
      },
    })
  run(sourceContract('binary', { make: files(bytes, make, [1, 2, 4], 2) }))
})

function target<T>(make: (path: string) => FileConnector<T>, decode: (text: string) => unknown[]) {
  return () => {
    const folder = new TestFolder()
    const read = (): unknown[] => {
      try {
        return decode(readFileSync(folder.at('sub/out'), 'utf8'))
      } catch (thrown) {
        if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return []
        throw thrown
      }
    }
    return { sink: make(folder.at('sub/out')), read, close: () => folder.remove() }
  }
}

describe('files keep the contract of sinks', () => {
  const rows = ['a', 'b"', 'c\n', 'd', 'e,é']
  const parse = (text: string): unknown[] =>
    text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
  const objects = rows.map((t) => ({ t }))
  run(sinkContract('json lines', { make: target((path) => jsonLines<object>({ path }), parse), rows: objects }))

  const records = rows.map((t, n) => ({ n, t: t.replace('\n', '') }))
  const table = (text: string): unknown[] => text.split('\n').slice(1, -1)
  run(
    sinkContract('csv', {
      make: target((path) => csv<{ n: number; t: string }>({ path, columns: ['n', 't'] }), table),
      rows: records,
      expected: ['0,a', '1,"b"""', '2,c', '3,d', '4,"e,é"'],
    }),
  )
  run(
    sinkContract('csv with weights', {
      make: target((path) => csv<{ n: number; t: string }>({ path, columns: ['n', '$weight'] }), table),
      rows: records,
      expected: ['0,1', '1,1', '2,1', '3,1', '4,1'],
    }),
  )
  const encode = (n: number): Uint8Array => Buffer.from(String(n))
  run(
    sinkContract('binary', {
      make: target(
        (path) => binary<number>({ path, recordBytes: 1, encode }),
        (text) => [...text].map(Number),
      ),
      rows: numbers,
    }),
  )
})
