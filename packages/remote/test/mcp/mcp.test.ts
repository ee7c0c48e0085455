/** Functions of nodes as tools, by the SDK's own client: over stdio with `millrace mcp` as a process, and over streamable HTTP. */
import { once } from 'node:events'
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  type CallContext,
  type ComputeNode,
  computeNode,
  defineContract,
  type Gateway,
  startGateway,
} from '@millrace/remote'
import { type McpHttp, serveMcpHttp } from '@millrace/remote/mcp'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'

const contract = defineContract({
  weather: {
    input: z.object({ city: z.string().describe('Name of a city') }),
    output: z.object({ city: z.string(), degrees: z.number() }),
    description: 'The weather of a city.',
  },
  'sensor.readings': { input: z.object({ count: z.number().int() }), item: z.object({ n: z.number() }) },
})

let aborted: string[]
let gateway: Gateway
let node: ComputeNode
let http: McpHttp | undefined
const clients: Client[] = []

beforeEach(async () => {
  aborted = []
  gateway = await startGateway({ port: 0 })
  node = computeNode({ gateway: gateway.url, id: 'n' })
    .implement(contract, {
      weather: ({ city }) => ({ city, degrees: city === 'Bern' ? 21 : 5 }),
      'sensor.readings': async function* ({ count }) {
        for (let n = 0; n < count; n++) {
          yield { n }
          // The SDK's client drops progress that comes in one piece with the result.
          await sleep(50)
        }
      },
    })
    .register('add', (a: number, b: number) => a + b)
    .register('boom', () => {
      throw new TypeError('boom from node')
    })
    .register('hang', async (_: unknown, ctx: CallContext) => {
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve))
      aborted.push(ctx.function)
    })
    .register('drip', async function* (_: unknown, ctx: CallContext) {
      try {
        for (let n = 0; !ctx.signal.aborted; n++) {
          yield n
          await sleep(20)
        }
      } finally {
        aborted.push('drip')
      }
    })
  await node.start()
})
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close()
  await http?.close()
  http = undefined
  await node.close()
  await gateway.close()
})

type Options = ConstructorParameters<typeof Client>[1]

/** `millrace mcp` as a client starts it. */
async function overStdio(options: Options = {}, flags: readonly string[] = []): Promise<Client> {
  const bin = fileURLToPath(new URL('../../../core/bin/millrace.js', import.meta.url))
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: ['--conditions=millrace-source', bin, 'mcp', '--gateway', gateway.url, ...flags],
    stderr: 'ignore',
  })
  return connected(transport, options)
}

async function overHttp(options: Options = {}): Promise<Client> {
  http ??= await serveMcpHttp({ gateway: gateway.url, port: 0, callDeadline: '20s', itemsMax: 50 })
  return connected(new StreamableHTTPClientTransport(new URL(http.url)), options)
}

async function connected(transport: Parameters<Client['connect']>[0], options: Options): Promise<Client> {
  const client = new Client({ name: 'test', version: '1.0.0' }, options)
  await client.connect(transport)
  clients.push(client)
  return client
}

async function until(isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + 10_000; !isSo() && performance.now() < end; ) await sleep(10)
  expect(isSo()).toBe(true)
}

const modern: Options = { versionNegotiation: { mode: 'auto' } }

describe.each([
  ['stdio', overStdio, {}],
  ['stdio, newest protocol', overStdio, modern],
  ['HTTP', overHttp, {}],
  ['HTTP, newest protocol', overHttp, modern],
] as const)('over %s', { timeout: 60_000 }, (_, connect, options) => {
  test('functions are tools with their schemas, and are called', async () => {
    const client = await connect(options)
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toEqual(['add', 'boom', 'drip', 'hang', 'sensor_readings', 'weather'])
    expect(tools.find(({ name }) => name === 'weather')).toMatchObject({
      description: 'The weather of a city.',
      inputSchema: { type: 'object', properties: { city: { type: 'string', description: 'Name of a city' } } },
      outputSchema: { type: 'object', required: ['city', 'degrees'] },
    })
    const weather = await client.callTool({ name: 'weather', arguments: { city: 'Bern' } })
    expect(weather.structuredContent).toEqual({ city: 'Bern', degrees: 21 })
    expect(weather.content).toEqual([{ type: 'text', text: '{"city":"Bern","degrees":21}' }])
    const sum = await client.callTool({ name: 'add', arguments: { args: [1, 2] } })
    expect(sum.content).toEqual([{ type: 'text', text: '3' }])
    expect(sum.structuredContent).toBeUndefined()
  })

  test('errors say their code, and the model may read them', async () => {
    const client = await connect(options)
    const boom = await client.callTool({ name: 'boom' })
    expect(boom).toMatchObject({ isError: true, content: [{ text: 'USER_ERROR boom from node' }] })
    const refused = await client.callTool({ name: 'weather', arguments: { city: 5 } })
    expect(refused.isError).toBe(true)
    expect(JSON.stringify(refused.content)).toContain('INVALID_ARGUMENT')
    const missing = await client.callTool({ name: 'nothing' })
    expect(missing).toMatchObject({ isError: true })
    expect(JSON.stringify(missing.content)).toContain('NOT_FOUND')
  })

  test('items of a stream are progress, and the result lists them', async () => {
    const client = await connect(options)
    const progress: { progress: number; message?: string | undefined }[] = []
    const result = await client.callTool(
      { name: 'sensor_readings', arguments: { count: 5 } },
      { onprogress: (each) => progress.push(each) },
    )
    expect(result.structuredContent).toEqual({ items: [0, 1, 2, 3, 4].map((n) => ({ n })), isComplete: true })
    expect(progress.map(({ progress, message }) => [progress, message])).toEqual(
      [0, 1, 2, 3, 4].map((n) => [n + 1, `{"n":${n}}`]),
    )
  })

  test('cancelling a tool call cancels the function on its node', async () => {
    const client = await connect(options)
    const stop = new AbortController()
    const call = client.callTool({ name: 'hang' }, { signal: stop.signal })
    call.catch(() => {})
    await until(() => gateway.stats.inFlight === 1)
    stop.abort('enough')
    await expect(call).rejects.toThrow()
    await until(() => aborted.includes('hang'))
  })

  test('the client is told when a node brings or takes tools', async () => {
    const lists: string[][] = []
    const listChanged = {
      tools: {
        onChanged: (_error: Error | null, tools: readonly { name: string }[] | null) => {
          lists.push((tools ?? []).map(({ name }) => name))
        },
      },
    }
    await connect({ ...options, listChanged })
    const another = computeNode({ gateway: gateway.url, id: 'another' }).register('brought', (text: string) => text)
    await another.start()
    await until(() => lists.at(-1)?.includes('brought') === true)
    await another.close()
    await until(() => lists.at(-1)?.includes('brought') === false)
  })
})

test('a stream without an end is cut at the limit, and its function ends', { timeout: 30_000 }, async () => {
  const client = await overHttp()
  const result = await client.callTool({ name: 'drip' })
  expect(result.structuredContent).toEqual({ items: Array.from({ length: 50 }, (_, n) => n), isComplete: false })
  await until(() => aborted.includes('drip'))
})

test('a stream that its deadline ends gives what came before', { timeout: 30_000 }, async () => {
  const client = await overStdio({}, ['--call-deadline', '500ms'])
  const result = await client.callTool({ name: 'drip' })
  expect(result.structuredContent).toMatchObject({ isComplete: false })
  expect((result.structuredContent as { items: number[] }).items.slice(0, 3)).toEqual([0, 1, 2])
  expect(await client.callTool({ name: 'hang' })).toMatchObject({ isError: true })
})

test('--only leaves the rest out', { timeout: 30_000 }, async () => {
  const client = await overStdio({}, ['--only', 'sensor.*', '--only', 'add'])
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(['add', 'sensor_readings'])
  expect(await client.callTool({ name: 'boom' })).toMatchObject({ isError: true })
})

test('pages of other sites, and other names of this machine, are refused', async () => {
  await overHttp()
  const { url } = http as McpHttp
  const post = (headers: Record<string, string>) =>
    fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }),
    })
  expect((await post({ origin: 'https://evil.example' })).status).toBe(403)
  // A name that was made to point here.
  const { port } = new URL(url)
  const renamed = request({ port, path: '/mcp', method: 'POST', headers: { host: 'evil.example' } }).end('{}')
  const [{ statusCode }] = (await once(renamed, 'response')) as [{ statusCode: number }]
  expect(statusCode).toBe(403)
  expect((await post({ 'mcp-session-id': 'guessed' })).status).toBe(404)
  expect(gateway.stats.opened).toBe(0)
})

test('a taken port is said so', async () => {
  await overHttp()
  const port = Number(new URL((http as McpHttp).url).port)
  await expect(serveMcpHttp({ gateway: gateway.url, port })).rejects.toMatchObject({ code: 'MCP_PORT' })
})
