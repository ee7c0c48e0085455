import { existsSync, mkdirSync, truncateSync } from 'node:fs'
import { type Position, RowBatch, type Sink } from 'millrace/connector'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { TestFolder, testContext } from '../../test/test-files.ts'
import { csv, type Existing, jsonLines } from './index.ts'

let folder: TestFolder
beforeEach(() => {
  folder = new TestFolder()
})
afterEach(() => folder.remove())

const context = () => ({ ...testContext(), instance: { index: 0, count: 1 } })

/** Runs the epochs as the runtime does, from `state`; gives the last state. */
async function write<T>(sink: Sink<T>, state: Position | undefined, ...epochs: readonly T[][]): Promise<Position> {
  const writer = await sink.open(context())
  const committer = await sink.committer?.(context())
  if (committer === undefined) throw new Error('no committer')
  try {
    await committer.restore(state)
    let last = state ?? committer.after(undefined, 0)
    for (const rows of epochs) {
      const bytes = (await writer.write(new RowBatch(rows, new Float64Array(rows.length)))) as Uint8Array
      const to = committer.after(last, bytes.length)
      await committer.publish(
        last,
        to,
        (async function* () {
          yield bytes
        })(),
      )
      last = to
    }
    return last
  } finally {
    await committer.close()
  }
}

describe('a file as a sink', () => {
  test('makes its folders and holds the rows of every epoch', async () => {
    const state = await write(jsonLines<number>({ path: folder.at('a/b/out.jsonl') }), undefined, [1, 2], [], [3])
    expect(folder.text('a/b/out.jsonl')).toBe('1\n2\n3\n')
    expect(state).toEqual({ length: 6 })
  })

  test('is not made before there is a row', async () => {
    await write(jsonLines<number>({ path: folder.at('out.jsonl') }), undefined, [])
    expect(existsSync(folder.at('out.jsonl'))).toBe(false)
  })

  test('that is not empty at the first start is refused, and left as it is', async () => {
    folder.file('out.jsonl', 'mine\n')
    await expect(write(jsonLines<number>({ path: folder.at('out.jsonl') }), undefined, [1])).rejects.toMatchObject({
      code: 'FILE_EXISTS',
    })
    expect(folder.text('out.jsonl')).toBe('mine\n')
  })

  test.each<[Existing, string]>([
    ['append', 'mine\n1\n2\n'],
    ['replace', '1\n2\n'],
  ])(
    'that is not empty at the first start: existing "%s" gives %j, also after a restart',
    async (existing, expected) => {
      const sink = jsonLines<number>({ path: folder.file('out.jsonl', 'mine\n'), existing })
      const state = await write(sink, undefined, [1])
      await write(sink, state, [2])
      expect(folder.text('out.jsonl')).toBe(expected)
    },
  )

  test('a crash in the first publish, behind what was there before, is made good from the state before it', async () => {
    const path = folder.file('out.jsonl', 'mine\n')
    const sink = jsonLines<number>({ path, existing: 'append' })
    const committer = await sink.committer?.(context())
    await committer?.restore(undefined)
    const start = committer?.after(undefined, 0) as Position
    await committer?.close()
    folder.file('out.jsonl', 'mine\n1')
    await write(sink, start, [1])
    expect(folder.text('out.jsonl')).toBe('mine\n1\n')
  })

  test('shorter than what was committed is an error that names both lengths', async () => {
    const sink = jsonLines<number>({ path: folder.at('out.jsonl') })
    const state = await write(sink, undefined, [1, 2])
    truncateSync(folder.at('out.jsonl'), 2)
    await expect(write(sink, state, [3])).rejects.toMatchObject({
      code: 'FILE_SHORTER',
      data: { size: 2, committed: 4 },
    })
  })

  test('a list, a pattern and a compressed name are no path of a sink; a folder is an error of the disk', async () => {
    for (const path of [['a', 'b'], 'out/*.jsonl', 'out.jsonl.gz']) {
      expect(() => jsonLines({ path }).open(context())).toThrow(expect.objectContaining({ code: 'FILE_PATH' }))
    }
    mkdirSync(folder.at('out.jsonl'))
    await expect(write(jsonLines({ path: folder.at('out.jsonl') }), undefined, [1])).rejects.toThrow('it is a folder')
  })
})

describe('CSV as a sink', () => {
  const columns = ['key', 'window.start', 'note']
  const row = (key: string, note: unknown) => ({ key, window: { start: 5 }, note })

  test('writes its header once, over epochs and restarts', async () => {
    const sink = csv<object>({ path: folder.at('out.csv'), columns })
    const state = await write<object>(sink, undefined, [], [row('a', null)], [row('b', 1n)])
    await write<object>(sink, state, [row('c', undefined)])
    expect(folder.text('out.csv')).toBe('key,window.start,note\na,5,\nb,5,1\nc,5,\n')
  })

  test('writes no header behind what was in the file before', async () => {
    const sink = csv<object>({ path: folder.file('out.csv', 'key,window.start,note\n'), columns, existing: 'append' })
    await write<object>(sink, undefined, [row('a', true)])
    expect(folder.text('out.csv')).toBe('key,window.start,note\na,5,true\n')
  })

  test('quotes what needs it and nothing else; hostile texts stay data', async () => {
    const sink = csv<object>({ path: folder.at('out.csv'), columns: ['a', 'b'], header: false })
    await write<object>(sink, undefined, [
      { a: 'x,y', b: 'say "hi"' },
      { a: 'two\nlines', b: '=cmd()' },
      { a: { deep: [1] }, b: new Date(0) },
    ])
    expect(folder.text('out.csv')).toBe(
      '"x,y","say ""hi"""\n"two\nlines",=cmd()\n"{""deep"":[1]}",1970-01-01T00:00:00.000Z\n',
    )
  })

  test('needs columns, and says so when it opens', () => {
    expect(() => csv({ path: 'out.csv' }).open(context())).toThrow(expect.objectContaining({ code: 'CSV_COLUMNS' }))
  })
})
