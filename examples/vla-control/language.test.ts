import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { type FeedContext, language, ORDERS, parseScript, script, type WordFeed } from './language.ts'
import { textLines } from './text-lines.ts'

/** A clock that moves by being waited for. */
function feedContext(signal = new AbortController().signal): FeedContext {
  let time = 1000
  return {
    signal,
    now: () => time,
    wait: async (ms) => {
      time += ms
    },
  }
}

async function all(feed: WordFeed, ctx = feedContext()) {
  const words = []
  for await (const { text, at } of feed.words(ctx)) words.push([text, at, ctx.now()])
  return words
}

describe('a script', () => {
  test('says each line when it is time, and not before', async () => {
    const lines = parseScript('# orders\n500 follow me\n\n1250 stop\n')
    expect(await all(script(lines))).toEqual([
      ['follow me', 1500, 1500],
      ['stop', 2250, 2250],
    ])
  })

  test('begins again when it is told to', async () => {
    const said: number[] = []
    for await (const { at } of script([{ afterMs: 10, text: 'a' }], 100).words(feedContext())) {
      said.push(at as number)
      if (said.length === 3) break
    }
    expect(said).toEqual([1010, 1110, 1210])
  })

  test('a line that is none is named', () => {
    expect(() => parseScript('100 a\nsoon b')).toThrow('line 2 of the script is "soon b"')
  })

  test('the orders of the example are in the order of their times, at irregular ones', () => {
    const gaps = ORDERS.slice(1).map(({ afterMs }, i) => afterMs - ORDERS[i].afterMs)
    expect(Math.min(...gaps)).toBeGreaterThan(0)
    expect(new Set(gaps).size).toBe(gaps.length)
  })
})

describe('lines of text', () => {
  const lines = (...chunks: string[]) => all(textLines('test', () => Readable.from(chunks)))
  const texts = async (...chunks: string[]) => (await lines(...chunks)).map(([text]) => text)

  test('a line is an utterance, however it is cut, also the last without a line break', async () => {
    expect(await texts('fol', 'low\nst', 'op\r\n', '\n  faster ')).toEqual(['follow', 'stop', 'faster'])
  })

  test('a line without an end is thrown away up to the next one, and no more of it is kept than 1000 characters', async () => {
    expect(await texts('a'.repeat(900), 'b'.repeat(900), 'c'.repeat(900), '\nstop\n')).toEqual(['stop'])
    expect(await texts('a'.repeat(2000))).toEqual([])
  })

  test('an end from outside ends it, also when nobody types', async () => {
    const stop = new AbortController()
    const done = all(
      textLines('silent', () => new Readable({ read() {} })),
      feedContext(stop.signal),
    )
    stop.abort()
    expect(await done).toEqual([])
  })
})

describe('the source of words', () => {
  const contextOf = (signal = new AbortController().signal) =>
    ({ signal, now: () => 0, wait: async () => new Promise<void>((resolve) => setImmediate(resolve)) }) as never

  test('gives words with the times they have, or those at which they came', async () => {
    const feed: WordFeed = {
      kind: 'two',
      async *words() {
        yield { text: 'then', at: 5 }
        yield { text: 'now' }
      },
    }
    const reader = await language(feed, 'arm', () => 77).open('0', undefined, contextOf())
    const rows: unknown[] = []
    for (;;) {
      const batch = await reader.read(10)
      if (batch === 'end') break
      expect(batch.caughtUp).toBe(true)
      rows.push(...(batch.rows as readonly unknown[]))
    }
    expect(rows).toEqual([
      { robot: 'arm', at: 5, text: 'then' },
      { robot: 'arm', at: 77, text: 'now' },
    ])
  })

  test('a silent feed gives empty reads, is asked for one word at a time, and is told when it is over', async () => {
    let asked = 0
    let signal: AbortSignal | undefined
    const feed: WordFeed = {
      kind: 'silent',
      words: (ctx) => {
        signal = ctx.signal
        const next = () => {
          asked++
          return new Promise<never>(() => {})
        }
        return { [Symbol.asyncIterator]: () => ({ next }) }
      },
    }
    const reader = await language(feed, 'arm', () => 0).open('0', undefined, contextOf())
    for (let n = 0; n < 5; n++) expect(await reader.read(10)).toMatchObject({ rows: [], caughtUp: true })
    expect(asked).toBe(1)
    await reader.close()
    expect(signal?.aborted).toBe(true)
  })

  test('a feed that fails fails the read', async () => {
    const feed: WordFeed = {
      kind: 'broken',
      // biome-ignore lint/correctness/useYield: it fails before
      async *words() {
        throw new Error('no microphone')
      },
    }
    const reader = await language(feed, 'arm', () => 0).open('0', undefined, contextOf())
    await expect(reader.read(1)).rejects.toThrow('no microphone')
  })
})
