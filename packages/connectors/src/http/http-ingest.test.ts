import { gzipSync } from 'node:zlib'
import { dataflow, dlq } from 'millrace'
import type { Position, SourceReader } from 'millrace/connector'
import { arraySink } from 'millrace/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type LiveRun, live, NDJSON, post, rawSocket } from '../../test/live.ts'
import { testContext } from '../../test/test-files.ts'
import { type HttpIngestOptions, httpIngest } from './index.ts'

interface Reading {
  readonly sensor: string
  readonly value: number
}

let run: LiveRun | undefined
afterEach(async () => {
  await run?.stop()
  run = undefined
})

/** A flow from HTTP to `rows`, and where it listens. */
async function ingest(options: Partial<HttpIngestOptions<Reading>> = {}, letters: unknown[] = []) {
  const rows: Reading[] = []
  const flow = dataflow('ingest')
  flow
    .source('in', httpIngest<Reading>({ port: 0, ...options }), {
      time: 'processing',
      onError: dlq(arraySink<unknown>(letters)),
    })
    .sink('out', arraySink<Reading>(rows))
  run = live(flow)
  return { rows, url: await run.url('in') }
}

const reading = (value: number): Reading => ({ sensor: 'a', value })

describe('what it takes', () => {
  test('an object, an array, lines, and gzip enter and are acknowledged with their number', async () => {
    const { rows, url } = await ingest()
    expect(await post(url, reading(1))).toMatchObject({ status: 200, body: { records: 1 } })
    expect(await post(url, [reading(2), reading(3)])).toMatchObject({ status: 200, body: { records: 2 } })
    const lines = `${JSON.stringify(reading(4))}\n\r\n${JSON.stringify(reading(5))}`
    expect(await post(url, lines, NDJSON)).toMatchObject({ status: 200, body: { records: 2 } })
    const packed = gzipSync(JSON.stringify(reading(6)))
    expect((await post(url, packed, { 'content-encoding': 'gzip' })).status).toBe(200)
    expect(rows.map((r) => r.value)).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('no records are acknowledged at once', async () => {
    const { url } = await ingest()
    expect(await post(url, [])).toMatchObject({ status: 200, body: { records: 0 } })
  })

  test('a request larger than a batch enters whole, in order', async () => {
    const { rows, url } = await ingest()
    const many = Array.from({ length: 5000 }, (_, i) => reading(i))
    expect(await post(url, many)).toMatchObject({ status: 200, body: { records: 5000 } })
    expect(rows).toEqual(many)
  })

  test('a schema decides what enters, and may change it', async () => {
    const schema = z.object({ sensor: z.string(), value: z.coerce.number() })
    const { rows, url } = await ingest({ schema })
    expect((await post(url, { sensor: 'a', value: '7' })).status).toBe(200)
    const { status, body } = await post(url, { sensor: 3, value: 1 })
    expect([status, body.error?.problems?.[0].code]).toEqual([400, 'SCHEMA_MISS'])
    expect(rows).toEqual([reading(7)])
  })
})

describe('what it refuses', () => {
  test('one bad record keeps the whole request out, and the answer names its line', async () => {
    const { rows, url } = await ingest()
    const { status, body } = await post(url, `${JSON.stringify(reading(1))}\n{oops\nnull\n`, NDJSON)
    expect(status).toBe(400)
    expect(body.error?.problems?.map((p) => `${p.line} ${p.code}`)).toEqual(['2 JSON_INVALID', '3 RECORD_NOT_OBJECT'])
    expect((await post(url, reading(2))).status).toBe(200)
    expect(rows).toEqual([reading(2)])
  })

  test("with onBad 'skip' the good records enter and the bad ones are dead letters", async () => {
    const letters: { code: string }[] = []
    const { rows, url } = await ingest({ onBad: 'skip' }, letters)
    const body = Buffer.from(`{"sensor":"a","value":1}\n{oops\n"\xff"\n{"sensor":"a","value":2}\n`, 'latin1')
    expect(await post(url, body as unknown as string, NDJSON)).toMatchObject({ status: 200, body: { records: 4 } })
    expect(rows.map((r) => r.value)).toEqual([1, 2])
    expect(letters.map((l) => l.code)).toEqual(['JSON_INVALID', 'UTF8_INVALID'])
  })

  test('texts that nest deeper than a stack bears are refused', async () => {
    const { url } = await ingest()
    const { status, body } = await post(url, `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)
    expect([status, body.error?.problems?.[0].code]).toEqual([400, 'JSON_DEEP'])
    const flat = JSON.stringify({
      sensor: '['.repeat(100),
      value: 1,
      list: Array.from({ length: 100 }, () => ({ a: 1 })),
    })
    expect((await post(url, flat)).status).toBe(200)
  })

  test.each([
    ['a path it does not serve', 404, (url: string) => post(`${url}/other`, reading(1))],
    ['another method', 405, (url: string) => fetch(url)],
    ['another content type', 415, (url: string) => post(url, 'a=1', { 'content-type': 'text/plain' })],
    ['another encoding', 415, (url: string) => post(url, 'x', { 'content-encoding': 'br' })],
    [
      'a body that is not the gzip it claims to be',
      400,
      (url: string) => post(url, '{}', { 'content-encoding': 'gzip' }),
    ],
    ['a body over the limit', 413, (url: string) => post(url, [reading(1), { sensor: 'x'.repeat(70_000), value: 1 }])],
    [
      'a small body that unpacks over the limit',
      413,
      (url: string) => post(url, gzipSync(Buffer.alloc(50_000_000, ' ')), { 'content-encoding': 'gzip' }),
    ],
  ] as const)('%s', async (_what, status, send) => {
    const { rows, url } = await ingest({ maxBodyBytes: 65_536 })
    expect((await send(url)).status).toBe(status)
    expect((await post(url, reading(1))).status).toBe(200)
    expect(rows).toEqual([reading(1)])
  })

  test('a sender without the token, or with a wrong one', async () => {
    const { rows, url } = await ingest({ token: 'secret' })
    expect((await post(url, reading(1))).status).toBe(401)
    expect((await post(url, reading(1), { authorization: 'Bearer secre' })).status).toBe(401)
    expect((await post(url, reading(2), { authorization: 'Bearer secret' })).status).toBe(200)
    expect((await fetch(`${url}/health`)).status).toBe(200)
    expect(rows).toEqual([reading(2)])
  })

  test('a client that asks first is told before it sends', async () => {
    const { url } = await ingest({ maxBodyBytes: 1000 })
    const socket = await rawSocket(url)
    const head =
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\nContent-Length:'
    socket.write(`${head} 2\r\n\r\n`)
    await new Promise((resolve) => socket.once('data', resolve))
    expect(socket.text()).toMatch(/^HTTP\/1\.1 100 Continue/)
    socket.write('[]')
    await new Promise((resolve) => socket.once('data', resolve))
    expect(socket.text()).toContain('200 OK')
    socket.destroy()
    const large = await rawSocket(url)
    large.write(`${head} 2000\r\n\r\n`)
    await large.gone
    expect(large.text()).toMatch(/^HTTP\/1\.1 413/)
  })
})

describe('acknowledgements', () => {
  test("'accept' answers before the commit", async () => {
    const { url } = await ingest({ ack: 'accept' })
    expect(await post(url, reading(1))).toMatchObject({ status: 202, body: { records: 1 } })
  })

  test('a request that no commit holds when the flow stops is told to come again', async () => {
    let isHeld = true
    const flow = dataflow('held')
    flow.source('in', httpIngest<Reading>({ port: 0 }), { time: 'processing' }).sink('out', {
      kind: 'held',
      guarantee: 'at-least-once',
      describe: () => ({}),
      open: () => ({
        write: () => {
          if (isHeld) throw new Error('the target is gone')
        },
        close() {},
      }),
    })
    const failing = live(flow)
    const url = await failing.url('in')
    const { status, body, headers } = await post(url, reading(1))
    expect([status, body.error?.code, headers.get('retry-after')]).toEqual([503, 'FLOW_STOPPED', '1'])
    await expect(failing.done).rejects.toThrow('the target is gone')
    isHeld = false
  })

  test('a key that comes again enters once, also while the first is waiting for its commit', async () => {
    const { rows, url } = await ingest({ rememberKeys: 10 })
    const key = { 'idempotency-key': 'order-7' }
    const both = await Promise.all([post(url, [reading(1), reading(2)], key), post(url, [reading(1), reading(2)], key)])
    expect(both.map((a) => a.status)).toEqual([200, 200])
    expect(both.map((a) => a.body.repeated ?? false).sort()).toEqual([false, true])
    expect(await post(url, [reading(1), reading(2)], key)).toMatchObject({ status: 200, body: { repeated: true } })
    expect((await post(url, reading(3), { 'idempotency-key': 'order-8' })).status).toBe(200)
    expect(rows.map((r) => r.value)).toEqual([1, 2, 3])
  })
})

/** Reads at least one batch and all that is there. */
async function readRows(reader: SourceReader<{ n: number }>, maxRows: number, atLeast: number) {
  const numbers: number[] = []
  let position: Position = null
  while (numbers.length < atLeast) {
    const batch = await reader.read(maxRows)
    if (batch === 'end') break
    for (const row of batch.rows as { n: number }[]) numbers.push(row.n)
    position = JSON.parse(JSON.stringify(batch.next))
  }
  return { numbers, position }
}

test('a request that a commit cut in two enters once when it is sent again to the next start', async () => {
  let url = ''
  const source = httpIngest<{ n: number }>({ port: 0, rememberKeys: 2, onListening: (at) => (url = at.url) })
  const ctx = { ...testContext(), wait: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)) }
  const rows = Array.from({ length: 250 }, (_, n) => ({ n }))
  const key = { 'idempotency-key': 'large' }
  const first = await source.open('http', undefined, ctx)
  const unanswered = post(url, rows, key)
  const { numbers, position } = await readRows(first, 100, 100)
  await first.close()
  expect((await unanswered).status).toBe(503)

  const second = await source.open('http', position, ctx)
  const answered = post(url, rows, key)
  const rest = await readRows(second, 100, 150)
  second.committed?.(rest.position)
  expect(await answered).toMatchObject({ status: 200, body: { records: 250 } })
  expect([...numbers, ...rest.numbers]).toEqual(rows.map((r) => r.n))

  // Of two keys that are remembered the third is the oldest: it is forgotten.
  for (const name of ['b', 'c']) {
    const done = post(url, [{ n: 1000 }], { 'idempotency-key': name })
    second.committed?.((await readRows(second, 10, 1)).position)
    expect((await done).body.repeated).toBeUndefined()
  }
  expect((await post(url, [{ n: 1000 }], { 'idempotency-key': 'b' })).body.repeated).toBe(true)
  const again = post(url, rows, key)
  const entered = await readRows(second, 1000, 1)
  second.committed?.(entered.position)
  expect((await again).body.repeated).toBeUndefined()
  expect(entered.numbers.length).toBe(250)
  await second.close()
})

test('a position of another connector is refused', async () => {
  await expect(httpIngest({ port: 0 }).open('http', { byte: 5 }, testContext())).rejects.toMatchObject({
    code: 'LIVE_POSITION',
  })
})

test('a port that is taken is named, with the way out', async () => {
  const { url } = await ingest()
  const port = Number(new URL(url).port)
  const flow = dataflow('second')
  flow.source('in', httpIngest({ port }), { time: 'processing' }).sink('out', arraySink<unknown>([]))
  const second = live(flow, { restartsMax: 0 })
  await expect(second.done).rejects.toMatchObject({ code: 'LISTEN_PORT_IN_USE', step: 'in', data: { port } })
})

test.each([
  [{ port: -1 }, 'port is -1'],
  [{ port: 0, path: 'x' }, 'path is "x"'],
  [{ port: 0, path: '/health' }, 'path is "/health"'],
  [{ port: 0, token: '' }, 'token is empty'],
  [{ port: 0, maxBodyBytes: 0 }, 'maxBodyBytes is 0'],
  [{ port: 0, rememberKeys: 20_000 }, 'rememberKeys is 20000'],
  [{ port: 0, ack: 'later' as 'commit' }, 'ack is "later"'],
])('options that cannot be: %j', (options, text) => {
  expect(() => httpIngest(options)).toThrow(text)
})
