import { dataflow, dlq } from 'millrace'
import type { Position } from 'millrace/connector'
import { arraySink, arraySource, sinkContract, sourceContract } from 'millrace/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { eventually, type LiveRun, live } from '../../test/live.ts'
import { json, type TestServer, testServer } from '../../test/live-server.ts'
import { httpIngest, httpPoll, httpPost, httpStream } from './index.ts'

interface Row {
  readonly id: number
}

const open: { close(): unknown }[] = []
function closing<C extends { close(): unknown }>(one: C): C {
  open.push(one)
  return one
}
function running(run: LiveRun): LiveRun {
  open.push({ close: () => run.stop().catch(() => {}) })
  return run
}
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

const rowsOf = (server: TestServer): unknown[] =>
  server.asked.flatMap(({ body }) =>
    body
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line)),
  )

describe('httpPost keeps the contract of sinks', () => {
  const rows = [{ id: 1 }, { id: 2 }, { id: 3 }, { id: 4 }, { id: 5 }]
  const lines = async () => {
    const server = await testServer((_, response) => json(response, {}))
    return { sink: httpPost<Row>({ url: server.url }), read: () => rowsOf(server), close: () => server.close() }
  }
  const byKey = async () => {
    const kept = new Map<string, unknown>()
    const server = await testServer(({ headers, body }, response) => {
      const key = String(headers['idempotency-key'])
      if (!kept.has(key)) kept.set(key, JSON.parse(body))
      json(response, {})
    })
    const sink = httpPost<Row>({ url: server.url, idempotencyKey: (r) => `row-${r.id}` })
    return { sink, read: () => [...kept.values()], close: () => server.close() }
  }
  for (const check of [
    ...sinkContract('lines', { make: lines, rows }),
    ...sinkContract('keys', { make: byKey, rows }),
  ]) {
    test(check.name, check.run)
  }
})

describe('httpPost', () => {
  const post = (url: string, rows: Row[], options: Partial<Parameters<typeof httpPost<Row>>[0]> = {}) => {
    const flow = dataflow('post')
    flow.source('in', arraySource(rows), { time: 'processing' }).sink('out', httpPost<Row>({ url, ...options }))
    return running(live(flow, { restartsMax: 0 }))
  }
  const many = Array.from({ length: 2000 }, (_, id) => ({ id }))

  test('cuts requests at their size', async () => {
    const server = closing(await testServer((_, response) => json(response, {})))
    await post(server.url, many, { maxRequestBytes: 1000 }).done
    expect(rowsOf(server)).toEqual(many)
    for (const { body } of server.asked) expect(body.length).toBeLessThanOrEqual(1000)
  })

  test('sends arrays, headers and token when asked to', async () => {
    const server = closing(await testServer((_, response) => json(response, {})))
    await post(server.url, many.slice(0, 3), { format: 'json', headers: { 'x-a': '1' }, token: 'secret' }).done
    expect(JSON.parse(server.asked[0].body)).toEqual(many.slice(0, 3))
    expect(server.asked[0].headers).toMatchObject({ 'x-a': '1', authorization: 'Bearer secret' })
  })

  test('tries again what may pass, and waits as long as the target asks for', async () => {
    const times: number[] = []
    const server = closing(
      await testServer((_, response) => {
        times.push(performance.now())
        if (times.length === 1) json(response, {}, 503, { 'retry-after': '1' })
        else if (times.length === 2) response.destroy()
        else json(response, {})
      }),
    )
    await post(server.url, many.slice(0, 2)).done
    expect(times.length).toBe(3)
    expect(times[1] - times[0]).toBeGreaterThan(990)
    expect(new Set(server.asked.map((a) => a.body)).size).toBe(1)
  })

  test('gives up after its retries, and says that nothing is lost', async () => {
    const server = closing(await testServer((_, response) => json(response, {}, 500)))
    const run = post(server.url, many.slice(0, 2), { retries: 1 })
    await expect(run.done).rejects.toMatchObject({ code: 'HTTP_UNAVAILABLE', retryable: true, data: { attempts: 2 } })
  })

  test.each([400, 401, 302])('an answer %i ends the run at once, with what the target said', async (status) => {
    const server = closing(await testServer((_, response) => json(response, { why: 'no' }, status)))
    const run = post(server.url, many.slice(0, 2))
    await expect(run.done).rejects.toMatchObject({ code: 'HTTP_REFUSED', step: 'out', data: { status } })
    await expect(run.done).rejects.toThrow('{"why":"no"}')
    expect(server.asked.length).toBe(1)
  })

  test('a target that does not answer in time is a timeout', async () => {
    const server = closing(await testServer(() => {}))
    const run = post(server.url, many.slice(0, 2), { timeout: '50ms', retries: 0 })
    await expect(run.done).rejects.toThrow('did not answer within 50 ms')
  })

  test('what one flow posts another one ingests', async () => {
    const rows: Row[] = []
    const to = dataflow('to')
    to.source('in', httpIngest<Row>({ port: 0 }), { time: 'processing' }).sink('out', arraySink(rows))
    const target = running(live(to))
    await post(await target.url('in'), many).done
    expect(rows).toEqual(many)
  })
})

describe('httpPoll keeps the contract of sources', () => {
  const values = Array.from({ length: 9 }, (_, i) => ({ id: i + 1 }))
  const make = async () => {
    const server = await testServer(({ path }, response) => {
      const after = Number(new URL(path, 'http://x').searchParams.get('after'))
      json(response, values.filter((row) => row.id > after).slice(0, 4))
    })
    const source = httpPoll<Row>({
      url: (cursor) => `${server.url}/?after=${cursor ?? 0}`,
      cursor: (row) => row.id,
      every: '1ms',
      schema: z.object({ id: z.number().refine((id) => id !== 5) }),
    })
    const rows = { http: values.filter((row) => row.id !== 5) }
    return { source, rows, rejected: { http: 1 }, close: () => server.close() }
  }
  for (const check of sourceContract('by cursor', { make, maxRows: 5 })) test(check.name, check.run)
})

describe('httpPoll', () => {
  const poll = (
    url: string,
    options: Partial<Parameters<typeof httpPoll<Row>>[0]> = {},
    rows: Row[] = [],
    letters: unknown[] = [],
  ) => {
    const flow = dataflow('poll')
    flow
      .source('in', httpPoll<Row>({ url, every: '10ms', ...options }), {
        time: 'processing',
        onError: dlq(arraySink(letters)),
      })
      .sink('out', arraySink(rows))
    return { run: running(live(flow, { restartsMax: 0 })), rows, letters }
  }

  test('asks with the validators of the last answer, and takes nothing from one that did not change', async () => {
    let version = 1
    const server = closing(
      await testServer(({ headers }, response) => {
        if (headers['if-none-match'] === `"${version}"`) response.writeHead(304).end()
        else json(response, { items: [{ id: version }] }, 200, { etag: `"${version}"`, 'last-modified': 'yesterday' })
      }),
    )
    const { rows } = poll(server.url, { rows: (body) => (body as { items: Row[] }).items })
    await eventually(() => server.asked.length > 5)
    expect(rows).toEqual([{ id: 1 }])
    version = 2
    await eventually(() => rows.length === 2)
    expect(server.asked.at(-1)?.headers['if-modified-since']).toBe('yesterday')
  })

  test('survives failures that may pass, and goes on behind the cursor', async () => {
    let n = 0
    const server = closing(
      await testServer(({ path }, response) => {
        n++
        if (n === 1) json(response, {}, 503)
        else if (n === 2) response.destroy()
        else json(response, path === '/0' ? [{ id: 1 }] : path === '/1' ? [{ id: 2 }] : [])
      }),
    )
    const url = (cursor: Position | undefined): string => `${server.url}/${cursor ?? 0}`
    const { rows } = poll(server.url, { url, cursor: (row) => row.id })
    await eventually(() => server.asked.some(({ path }) => path === '/2'))
    await eventually(() => rows.length === 2)
    expect(rows).toEqual([{ id: 1 }, { id: 2 }])
  })

  test('rows that do not fit go to the error policy', async () => {
    const server = closing(
      await testServer((_, response) => json(response, [{ id: 1 }, { id: 'x' }], 200, { etag: '1' })),
    )
    const { rows, letters } = poll(server.url, { schema: z.object({ id: z.number() }), every: '1m' })
    await eventually(() => rows.length === 1 && letters.length === 1)
    expect(letters[0]).toMatchObject({ code: 'SCHEMA_MISS' })
  })

  test.each([
    ['HTTP_REFUSED', (response: Parameters<typeof json>[0]) => json(response, {}, 404)],
    ['HTTP_BODY_TOO_LARGE', (response: Parameters<typeof json>[0]) => json(response, 'x'.repeat(2000))],
    ['HTTP_BODY', (response: Parameters<typeof json>[0]) => response.end('<html>')],
  ])('an answer that cannot be used ends the run: %s', async (code, respond) => {
    const server = closing(await testServer((_, response) => respond(response)))
    const { run } = poll(server.url, { maxBodyBytes: 1000 })
    await expect(run.done).rejects.toMatchObject({ code, step: 'in' })
  })

  test('fails when it failed too often in a row', async () => {
    const server = closing(await testServer((_, response) => json(response, {}, 500)))
    const { run } = poll(server.url, { failuresMax: 2 })
    await expect(run.done).rejects.toMatchObject({ code: 'HTTP_REFUSED' })
    expect(server.asked.length).toBe(2)
  })
})

describe('httpStream', () => {
  const stream = (
    url: string,
    options: Partial<Parameters<typeof httpStream<Row>>[0]> = {},
    rows: Row[] = [],
    letters: unknown[] = [],
  ) => {
    const flow = dataflow('stream')
    flow
      .source('in', httpStream<Row>({ url, ...options }), { time: 'processing', onError: dlq(arraySink(letters)) })
      .sink('out', arraySink(rows))
    return { run: running(live(flow, { restartsMax: 0 })), rows, letters }
  }

  test('reads lines as they come, skips an endless one, and connects again when the answer ends', async () => {
    let connections = 0
    const server = closing(
      await testServer((_, response) => {
        const n = ++connections
        response.writeHead(200, { 'content-type': 'application/x-ndjson' })
        response.write(`{"id":${n * 10}}\n{"id":`)
        setTimeout(() => response.write(`${n * 10 + 1}}\n"${'x'.repeat(5000)}`), 10)
        setTimeout(() => response.write(`"\n{oops\n{"id":${n * 10 + 2}}\n{"cut":`), 20)
        setTimeout(() => response.end(), 30)
      }),
    )
    const { rows, letters } = stream(server.url, { maxLineBytes: 1000 })
    await eventually(() => rows.length >= 6 && letters.length >= 4)
    expect(rows.slice(0, 6).map((r) => r.id)).toEqual([10, 11, 12, 20, 21, 22])
    expect(letters.slice(0, 2).map((l) => (l as { code: string }).code)).toEqual(['RECORD_TOO_LARGE', 'JSON_INVALID'])
  })

  test('tells a server of events the last one it has read, also after a restart', async () => {
    const server = closing(
      await testServer(({ headers }, response) => {
        const last = Number(headers['last-event-id'] ?? 0)
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write(': hello\nretry: 10\n\n')
        response.write(`event: other\ndata: {"id":-1}\n\n`)
        for (let id = last + 1; id <= last + 2; id++) response.write(`id: ${id}\ndata: {"id":\r\ndata: ${id}}\r\n\r\n`)
        response.end('data: {"id": 99}')
      }),
    )
    const { rows } = stream(server.url, { event: 'message' })
    await eventually(() => rows.length >= 6)
    expect(rows.slice(0, 6).map((r) => r.id)).toEqual([1, 2, 3, 4, 5, 6])
  })

  test('a connection that falls silent is made anew', async () => {
    let connections = 0
    const server = closing(
      await testServer((_, response) => {
        response.writeHead(200, { 'content-type': 'application/x-ndjson' })
        response.write(`{"id":${++connections}}\n`)
      }),
    )
    const { rows } = stream(server.url, { silence: '50ms' })
    await eventually(() => rows.length >= 2)
    expect(rows.slice(0, 2).map((r) => r.id)).toEqual([1, 2])
  })

  test('a server that refuses for good ends the run', async () => {
    const server = closing(await testServer((_, response) => json(response, {}, 401)))
    await expect(stream(server.url).run.done).rejects.toMatchObject({ code: 'HTTP_REFUSED', data: { status: 401 } })
  })
})
