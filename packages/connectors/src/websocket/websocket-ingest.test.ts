import { dataflow, dlq } from 'millrace'
import { arraySink } from 'millrace/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { client, eventually, type LiveRun, live } from '../../test/live.ts'
import { type WebSocketIngestOptions, webSocketIngest } from './index.ts'

interface Reading {
  readonly id?: number
  readonly value: number
}

let run: LiveRun | undefined
afterEach(async () => {
  await run?.stop()
  run = undefined
})

async function ingest(options: Partial<WebSocketIngestOptions<Reading>> = {}, letters: unknown[] = []) {
  const rows: Reading[] = []
  const flow = dataflow('ingest')
  flow
    .source('in', webSocketIngest<Reading>({ port: 0, ackId: (r) => r.id, ...options }), {
      time: 'processing',
      onError: dlq(arraySink<unknown>(letters)),
    })
    .sink('out', arraySink<Reading>(rows))
  run = live(flow)
  return { rows, url: await run.url('in') }
}

const acked = (messages: unknown[]): number[] => messages.flatMap((m) => (m as { ack?: number[] }).ack ?? [])

describe('messages', () => {
  test('become records in order, and their identities are acknowledged after the commit', async () => {
    const { rows, url } = await ingest()
    const one = await client(url)
    one.send({ id: 1, value: 10 })
    one.send([{ id: 2, value: 20 }, { value: 30 }, { id: 4, value: 40 }])
    await one.until((m) => acked(m).length === 3)
    expect(acked(one.messages)).toEqual([1, 2, 4])
    expect(rows.map((r) => r.value)).toEqual([10, 20, 30, 40])
  })

  test('each connection gets its own acknowledgements', async () => {
    const { url } = await ingest()
    const [one, two] = [await client(url), await client(url)]
    one.send({ id: 1, value: 1 })
    two.send({ id: 2, value: 2 })
    await Promise.all([one.until((m) => acked(m).length > 0), two.until((m) => acked(m).length > 0)])
    expect([acked(one.messages), acked(two.messages)]).toEqual([[1], [2]])
  })

  test('what cannot be used is answered and does not enter', async () => {
    const { rows, url } = await ingest()
    const one = await client(url)
    one.send('{oops')
    one.send([{ id: 1, value: 1 }, 7])
    one.send({ id: 2, value: 2 })
    await one.until((m) => acked(m).length === 1)
    const errors = one.messages.flatMap(
      (m) => (m as { error?: { problems: { code: string }[] } }).error?.problems ?? [],
    )
    expect(errors.map((p) => p.code)).toEqual(['JSON_INVALID', 'RECORD_NOT_OBJECT'])
    expect(rows).toEqual([{ id: 2, value: 2 }])
  })

  test("with onBad 'skip' bad records are dead letters and their neighbours enter", async () => {
    const letters: { code: string }[] = []
    const { rows, url } = await ingest({ onBad: 'skip' }, letters)
    const one = await client(url)
    one.send([{ id: 1, value: 1 }, 7])
    await one.until((m) => acked(m).length === 1)
    expect(rows.length).toBe(1)
    expect(letters.map((l) => l.code)).toEqual(['RECORD_NOT_OBJECT'])
  })

  test('a record that a function of yours fails on is answered, and the flow goes on', async () => {
    const schema = z
      .object({ id: z.number(), meta: z.any() })
      .transform((r) => ({ id: r.id, value: r.meta.value as number }))
    const { rows, url } = await ingest({ schema, ackId: (r) => (r.value as unknown as { n: number }).n })
    const one = await client(url)
    one.send({ id: 1 })
    one.send({ id: 2, meta: { value: null } })
    one.send({ id: 3, meta: { value: { n: 3 } } })
    await one.until((m) => acked(m).length === 1)
    const codes = one.messages.flatMap((m) => (m as { error?: { problems: { code: string }[] } }).error?.problems ?? [])
    expect(codes.map((p) => p.code)).toEqual(['SCHEMA_MISS', 'ACK_ID'])
    expect(rows.map((r) => r.id)).toEqual([3])
  })

  test('a schema that validates asynchronously ends the run, not the process', async () => {
    const flow = dataflow('async-schema')
    const schema = z.object({ value: z.number() }).refine(async () => true)
    flow.source('in', webSocketIngest({ port: 0, schema }), { time: 'processing' }).sink('out', arraySink<unknown>([]))
    const wrong = live(flow)
    const one = await client(await wrong.url('in'))
    one.send({ value: 1 })
    await expect(wrong.done).rejects.toMatchObject({ code: 'SCHEMA_ASYNC', step: 'in' })
  })

  test('a client that sends nothing usable is closed, and the others are not', async () => {
    const { url } = await ingest({ maxBadPerMinute: 3 })
    const [good, bad] = [await client(url), await client(url)]
    for (let i = 0; i < 10; i++) bad.send('x')
    expect(await bad.closed).toBe(1008)
    good.send({ id: 1, value: 1 })
    await good.until((m) => acked(m).length === 1)
  })
})

describe('who may connect', () => {
  test('only with the token, in the header or the URL', async () => {
    const { url } = await ingest({ token: 'secret' })
    await expect(client(url)).rejects.toThrow('401')
    await expect(client(`${url}/?token=wrong`)).rejects.toThrow('401')
    ;(await client(`${url}/?token=secret`)).socket.close()
    ;(await client(url, { headers: { authorization: 'Bearer secret' } })).socket.close()
  })

  test('no pages of other sites', async () => {
    const { url } = await ingest()
    const own = url.replace('ws:', 'http:')
    await expect(client(url, { headers: { origin: 'https://evil.example' } })).rejects.toThrow('403')
    await expect(client(url, { headers: { origin: 'null' } })).rejects.toThrow('403')
    ;(await client(url, { headers: { origin: own } })).socket.close()
    await expect(client(`${url}/other`)).rejects.toThrow('404')
  })

  test('a client that does not answer pings is closed; one that does stays', async () => {
    const { url } = await ingest({ pingEvery: '50ms' })
    const alive = await client(url)
    const dead = await client(url)
    dead.socket.pause()
    let pings = 0
    alive.socket.on('ping', () => pings++)
    await eventually(() => pings >= 5)
    dead.socket.resume()
    expect(await dead.closed).toBe(1006)
    alive.send({ id: 1, value: 1 })
    await alive.until((m) => acked(m).length === 1)
  })
})

test('when the flow stops, clients are told that they may come back', async () => {
  const { url } = await ingest()
  const one = await client(url)
  await run?.stop()
  expect(await one.closed).toBe(1012)
})
