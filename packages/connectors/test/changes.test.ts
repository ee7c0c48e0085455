/** Changes, as `topN` and `toTable` emit them, through sinks: what a reader adds up is the final table. */
import { existsSync } from 'node:fs'
import { Writable } from 'node:stream'
import { binary, type CsvOptions, csv, jsonLines } from '@millrace/connectors/file'
import { httpPost } from '@millrace/connectors/http'
import { logTopic, openLog } from '@millrace/connectors/log'
import { json, lengthPrefixed, tcpClientSink, tcpServerSink, text, udpSink } from '@millrace/connectors/socket'
import { stdout } from '@millrace/connectors/stdout'
import { webSocketBroadcast, webSocketSend } from '@millrace/connectors/websocket'
import fc from 'fast-check'
import { dataflow } from 'millrace'
import type { Sink } from 'millrace/connector'
import { arraySource } from 'millrace/testing'
import { describe, expect, test } from 'vitest'
import { TestFolder } from './test-files.ts'

interface Reading {
  readonly key: string
  readonly at: number
  readonly value: number
}

const readings = fc
  .array(fc.record({ key: fc.constantFrom('a', 'b', 'c'), at: fc.nat(50), value: fc.integer({ min: -1, max: 5 }) }), {
    maxLength: 40,
  })
  // No two rows at one time: which of them is the latest is not what is tested.
  .map((rows) => rows.map(({ at, ...row }, i): Reading => ({ key: row.key, at: at * 100 + i, value: row.value })))

const isDeleted = (row: Reading): boolean => row.value < 0

function flowOf(name: 'topN' | 'toTable', rows: readonly Reading[], sink: Sink<unknown>) {
  const flow = dataflow(name)
  const keyed = flow.source('in', arraySource(rows), { time: (r) => r.at, disorder: '1m' }).keyBy((r) => r.key)
  if (name === 'topN') keyed.topN('step', { n: 2, by: (r) => r.value }).sink('out', sink)
  else keyed.toTable('step', { isDeleted }).sink('out', sink)
  return flow
}

/** Computed without the engine. */
function finalTable(name: 'topN' | 'toTable', rows: readonly Reading[]): unknown[] {
  return [...Map.groupBy(rows, (r) => r.key).values()].flatMap((own): unknown[] => {
    if (name === 'topN') {
      const best = own.toSorted((a, b) => b.value - a.value).slice(0, 2)
      return best.map((row, i) => ({ rank: i + 1, row }))
    }
    const latest = own.reduce((a, b) => (b.at > a.at ? b : a))
    return isDeleted(latest) ? [] : [latest]
  })
}

/** What a reader is left with: each row as often as it was written, less as often as it was taken back. */
function addedUp(changes: readonly unknown[]): string[] {
  const counts = new Map<string, number>()
  for (const change of changes) {
    const { $weight = 1, ...row } = change as { $weight?: number }
    const id = JSON.stringify(row)
    counts.set(id, (counts.get(id) ?? 0) + $weight)
  }
  return [...counts].flatMap(([id, count]) => {
    expect(count, `copies of ${id}`).toBeOneOf([0, 1])
    return count === 1 ? [id] : []
  })
}

/** Where no row was ever written, there is no file. */
const written = (folder: TestFolder, name: string): string => (existsSync(folder.at(name)) ? folder.text(name) : '')

const parsed = (lines: string): unknown[] =>
  lines
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))

describe.each(['topN', 'toTable'] as const)('the changes of %s add up to the final table', (name) => {
  const through = (make: (folder: TestFolder) => Sink<unknown>, read: (folder: TestFolder) => Promise<unknown[]>) =>
    fc.assert(
      fc.asyncProperty(readings, async (rows) => {
        const folder = new TestFolder()
        try {
          await flowOf(name, rows, make(folder)).run({ state: folder.at('state'), execution: 'inline' })
          const table = finalTable(name, rows).map((row) => JSON.stringify(row))
          expect(addedUp(await read(folder)).sort()).toEqual(table.sort())
        } finally {
          folder.remove()
        }
      }),
      { numRuns: 8, examples: [[changing]] },
    )

  test('in JSON lines', async () => {
    await through(
      (folder) => jsonLines({ path: folder.at('out.jsonl') }),
      async (folder) => parsed(written(folder, 'out.jsonl')),
    )
  })

  test('in CSV with a column $weight', async () => {
    const columns: CsvOptions['columns'] =
      name === 'topN' ? ['rank', 'row', '$weight'] : ['key', 'at', 'value', '$weight']
    await through(
      (folder) => csv<unknown>({ path: folder.at('out.csv'), columns, delimiter: ';', quote: "'" }),
      async (folder) =>
        written(folder, 'out.csv')
          .split('\n')
          .slice(1, -1)
          .map((line) => {
            const fields = line.split(';')
            const weight = Number(fields.at(-1))
            return name === 'topN'
              ? { rank: Number(fields[0]), row: JSON.parse(fields[1]), $weight: weight }
              : { key: fields[0], at: Number(fields[1]), value: Number(fields[2]), $weight: weight }
          }),
    )
  })

  test('in a topic of the log', async () => {
    await through(
      (folder) => logTopic({ log: folder.at('log'), topic: 'out' }),
      async (folder) => {
        const log = await openLog(folder.at('log'))
        const consumer = await log.consumer({ topics: ['out'] })
        const records = await consumer.poll({ wait: '0ms', maxRecords: 1000 })
        await log.close()
        return records.map((record) => JSON.parse(String(record.value)))
      },
    )
  })
})

/** A row that ranks first, is displaced, and a key that is deleted. */
const changing: Reading[] = [
  { key: 'a', at: 1, value: 1 },
  { key: 'a', at: 2, value: 2 },
  { key: 'a', at: 3, value: 3 },
  { key: 'b', at: 4, value: 3 },
  { key: 'b', at: 5, value: -1 },
]

describe('a sink takes changes only where it can mark them', () => {
  const own = { decode: () => ({}), encode: () => Buffer.of(0) }
  const lines = { format: (row: unknown) => String(row) }
  const prefixed = { format: lengthPrefixed<unknown>({ prefix: 'u16be', ...own }) }
  const ofTopic = (format: 'json' | 'text' | 'bytes') => logTopic<unknown>({ topic: 't', format })
  const ofFormat = (takesChanges: boolean) =>
    logTopic<unknown>({
      topic: 't',
      format: { name: 'own', decode: () => 0, encode: () => ({ value: '' }), takesChanges },
    })
  const url = 'http://localhost:1'

  const sinks: [string, boolean, Sink<never>][] = [
    ['jsonLines', true, jsonLines({ path: 'x' })],
    ['csv with a column $weight', true, csv({ path: 'x', columns: ['a', '$weight'] })],
    ['csv without', false, csv({ path: 'x', columns: ['a'] })],
    ['binary', false, binary<unknown>({ path: 'x', recordBytes: 1, ...own })],
    ['stdout', true, stdout()],
    ['stdout with a format', false, stdout(lines)],
    ['stdout with a format that shows changes', true, stdout({ ...lines, takesChanges: true })],
    ['a topic, json', true, ofTopic('json')],
    ['a topic, text', false, ofTopic('text')],
    ['a topic, bytes', false, ofTopic('bytes')],
    ['a topic, own format', false, ofFormat(false)],
    ['a topic, own format that shows changes', true, ofFormat(true)],
    ['httpPost', true, httpPost({ url })],
    ['httpPost with identities', false, httpPost({ url, idempotencyKey: String })],
    ['webSocketBroadcast', true, webSocketBroadcast({ port: 0, slow: 'block' })],
    ['webSocketBroadcast with a format', false, webSocketBroadcast({ port: 0, slow: 'block', ...lines })],
    ['webSocketSend', true, webSocketSend({ url: 'ws://localhost:1' })],
    ['webSocketSend with a format', false, webSocketSend({ url: 'ws://localhost:1', ...lines })],
    ['tcpClientSink', true, tcpClientSink({ port: 1 })],
    ['tcpClientSink, json', true, tcpClientSink({ port: 1, format: json() })],
    ['tcpClientSink, text', false, tcpClientSink({ port: 1, format: text() })],
    ['tcpClientSink, lengthPrefixed', false, tcpClientSink({ port: 1, ...prefixed })],
    ['tcpServerSink', true, tcpServerSink({ port: 0 })],
    ['tcpServerSink, lengthPrefixed', false, tcpServerSink({ port: 0, ...prefixed })],
    ['udpSink', true, udpSink({ port: 1 })],
    ['udpSink, text', false, udpSink({ port: 1, format: text() })],
  ]
  test.each(sinks)('%s: %s', async (_, takes, sink) => {
    expect(sink.takesChanges).toBe(takes)
    if (takes) return
    const folder = new TestFolder()
    try {
      const run = flowOf('topN', changing, sink as Sink<unknown>).run({ state: folder.path, execution: 'inline' })
      await expect(run).rejects.toMatchObject({ code: 'SINK_CHANGES', step: 'out' })
    } finally {
      folder.remove()
    }
  })
})

test('a format that takes changes sees the mark', async () => {
  const folder = new TestFolder()
  try {
    const printed: string[] = []
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        printed.push(String(chunk))
        done()
      },
    })
    const format = (row: unknown): string => {
      const { rank, row: ranked, $weight } = row as { rank: number; row: Reading; $weight?: number }
      return `${$weight === -1 ? '-' : '+'}${rank} ${ranked.value}`
    }
    const sink = stdout<unknown>({ format, takesChanges: true, stream })
    await flowOf('topN', changing.slice(0, 2), sink).run({ state: folder.path, execution: 'inline' })
    expect(printed.join('').split('\n').slice(0, -1)).toEqual(['+1 1', '-1 1', '+1 2', '+2 1'])
  } finally {
    folder.remove()
  }
})
