/** Remote nodes as parts of a flow, with real processes. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { computeNode, connect, type Gateway, startGateway } from '@millrace/remote'
import { remote, remoteStream, serveStream } from '@millrace/remote/flow'
import { dataflow, type JobEvent } from 'millrace'
import { arraySink, arraySource } from 'millrace/testing'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { CountingFunctions } from './counting-node.ts'

const FLOW = new URL('./flow-process.ts', import.meta.url)

let gateway: Gateway
let folder: string
let children: ChildProcess[]
beforeEach(async () => {
  gateway = await startGateway({ port: 0 })
  folder = mkdtempSync(join(tmpdir(), 'millrace-remote-flow-'))
  children = []
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await gateway.close()
  rmSync(folder, { recursive: true, force: true })
})

function start(program: URL, args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const child = spawn(process.execPath, ['--conditions=millrace-source', fileURLToPath(program), ...args], {
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  return child
}

async function startNode(id = 'counting'): Promise<ChildProcess> {
  const child = start(new URL('./counting-node.ts', import.meta.url), [gateway.url, id])
  const [said] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer]
  expect(String(said)).toBe('ready\n')
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

async function collect<T>(items: AsyncIterable<T>, count = Number.POSITIVE_INFINITY): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) if (all.push(item) >= count) break
  return all
}

/** Waits for what is to come, far longer than it takes. */
async function until(isSo: () => boolean): Promise<void> {
  for (const end = performance.now() + 20_000; !isSo() && performance.now() < end; ) await sleep(5)
  expect(isSo()).toBe(true)
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

describe('a stream as a source', () => {
  test('gives its items, and ends when they end', async () => {
    await startNode()
    const nodes = remote<CountingFunctions>({ gateway: gateway.url })
    const rows: { n: number }[] = []
    const flow = dataflow('numbers')
    flow
      .source(
        'numbers',
        remoteStream(nodes, (s) => s.count(0, 5_000)),
        { time: 'processing' },
      )
      .sink('out', arraySink(rows))
    await flow.run({ execution: 'inline', state: join(folder, 'state') })
    expect(rows.map((row) => row.n)).toEqual(range(0, 5_000))
    await nodes.close()
  })

  test('that can begin anywhere loses and doubles nothing when its node is killed, twice', async () => {
    let node = await startNode()
    const rows: { n: number }[] = []
    const events: JobEvent[] = []
    const flow = dataflow('numbers')
    flow
      .source(
        'numbers',
        remoteStream<{ n: number }>(gateway.url, (s, position) => s.count(position, 600, 1), { replayable: true }),
        { time: 'processing' },
      )
      .sink('out', arraySink(rows))
    const run = flow.run({ execution: 'inline', state: join(folder, 'state'), onEvent: (event) => events.push(event) })
    for (const kills of [1, 2]) {
      await until(() => rows.length > kills * 100)
      await kill(node)
      node = await startNode()
    }
    await run
    expect(rows.map((row) => row.n)).toEqual(range(0, 600))
    expect(events.filter((e) => e.type === 'log' && e.message.includes('the stream broke')).length).toBe(2)
  })

  test('goes on behind the last commit after the flow was stopped', async () => {
    await startNode()
    const state = join(folder, 'state')
    const run = async (isEnough: (rows: number) => boolean): Promise<number[]> => {
      const rows: { n: number }[] = []
      const stop = new AbortController()
      const flow = dataflow('numbers')
      flow
        .source(
          'numbers',
          remoteStream<{ n: number }>(gateway.url, (s, position) => s.count(position, 300, 1), { replayable: true }),
          { time: 'processing' },
        )
        .sink('out', arraySink(rows))
      const done = flow.run({ execution: 'inline', state, commitEvery: '20ms', signal: stop.signal })
      const enough = setInterval(() => isEnough(rows.length) && stop.abort(), 2)
      await done
      clearInterval(enough)
      return rows.map((row) => row.n)
    }
    const first = await run((rows) => rows > 50)
    expect(first.length).toBeLessThan(300)
    const second = await run(() => false)
    expect([...first, ...second]).toEqual(range(0, 300))
  })

  // A known defect, open in issue 5: on an idle machine about a batch of rows goes on being taken with each commit although
  // the step behind the source is full. The test shows it; it is skipped, visibly, until that is mended.
  test.skip('is not asked for more than the flow takes (known defect: a batch more with each commit)', async () => {
    let given = 0
    const node = computeNode({ gateway: gateway.url, id: 'eager' })
    node.register('eager', async function* () {
      for (;;) {
        given++
        yield { n: given }
      }
    })
    await node.start()
    const stop = new AbortController()
    let taken = 0
    const flow = dataflow('slow')
    flow
      .source(
        'eager',
        remoteStream<{ n: number }>(gateway.url, (s) => s.eager(), { bufferRecords: 100 }),
        { time: 'processing' },
      )
      .mapAsync(
        'hang',
        () => {
          taken++
          return new Promise<void>((resolve) => {
            if (stop.signal.aborted) resolve()
            stop.signal.addEventListener('abort', () => resolve())
          })
        },
        { capacity: 4 },
      )
      .sink('out', arraySink<unknown>([]))
    const run = flow.run({ execution: 'inline', state: join(folder, 'state'), signal: stop.signal })
    await until(() => taken === 4)
    let before = -1
    while (before !== given) {
      before = given
      await sleep(200)
    }
    // It has come to a halt: the flow's own queues, the source's buffer and the window are full.
    expect(given).toBeLessThan(1_000_000)
    expect(taken).toBe(4)
    stop.abort()
    await run.catch(() => {})
    await node.close()
  })

  test('of a name that nobody offers fails at once, with the name', async () => {
    const flow = dataflow('wrong')
    flow
      .source(
        'nothing',
        remoteStream(gateway.url, (s) => s.nothing()),
        { time: 'processing' },
      )
      .sink('out', arraySink<unknown>([]))
    await expect(flow.run({ execution: 'inline', state: join(folder, 'state') })).rejects.toMatchObject({
      code: 'REMOTE_STREAM_FAILED',
      step: 'nothing',
      data: { code: 'NOT_FOUND' },
    })
  })
})

describe('a function per record', () => {
  test('is cancelled at its timeout, called again with the same id, and its errors are retried', async () => {
    await startNode()
    const nodes = remote<CountingFunctions>({ gateway: gateway.url })
    const rows: { n: number; times: number }[] = []
    const flow = dataflow('troubled')
    flow
      .source('numbers', arraySource([{ n: 1 }, { n: 2 }, { n: 3 }]), { time: 'processing' })
      .mapAsync('troubled', nodes.call.troubled, { timeout: '200ms', retry: { times: 2, delay: '1ms' } })
      .sink('out', arraySink(rows))
    await flow.run({ execution: 'inline', state: join(folder, 'state') })
    expect(rows).toEqual([1, 2, 3].map((n) => ({ n, times: 3 })))
    const { ran, aborted } = await nodes.call.seen()
    expect(ran.length).toBe(9)
    expect(new Set(ran).size).toBe(3)
    expect(new Set(aborted)).toEqual(new Set(ran))
    await nodes.close()
  })

  test('in flight when the flow is killed runs again after the restart, with the same id', {
    timeout: 60_000,
  }, async () => {
    const seen: string[] = []
    let isOpen = false
    const node = computeNode({ gateway: gateway.url, id: 'gate' })
    node.registerAll({
      count: async function* (from: number, to: number) {
        for (let n = from; n < to; n++) yield { n }
      },
      double: async ({ n }: { n: number }, ctx: { id: string; signal: AbortSignal }) => {
        seen.push(ctx.id)
        while (!isOpen && n >= 20) {
          await sleep(5)
          if (ctx.signal.aborted) return undefined
        }
        return { n, doubled: 2 * n }
      },
    })
    await node.start()
    const out = join(folder, 'out.jsonl')
    const env = { MILLRACE_TEST_GATEWAY: gateway.url, MILLRACE_TEST_OUT: out, MILLRACE_TEST_COUNT: '100' }
    const first = start(FLOW, [join(folder, 'state'), '1'], env)
    // The first 20 have been committed, or the ids of the next would not be in a commit.
    await until(() => seen.length >= 52)
    await sleep(500)
    await kill(first)
    const before = [...seen]
    seen.length = 0
    isOpen = true
    const second = start(FLOW, [join(folder, 'state'), '1'], env)
    const [code] = await once(second, 'exit')
    expect(code).toBe(0)
    const lines = readFileSync(out, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { n: number })
    expect(lines.map((row) => row.n)).toEqual(range(0, 100))
    // Those that were in flight, and no other, were called before under their ids.
    expect(seen.filter((id) => before.includes(id)).length).toBe(32)
    await node.close()
  })
})

describe('a flow in threads', () => {
  test.each([1, 2])(
    'of %i calls, reads and serves, bears the death of its node, and its process ends',
    { timeout: 90_000 },
    async (workers) => {
      const node = await startNode()
      const out = join(folder, 'out.jsonl')
      const run = start(FLOW, [join(folder, 'state'), String(workers)], {
        MILLRACE_TEST_GATEWAY: gateway.url,
        MILLRACE_TEST_OUT: out,
        MILLRACE_TEST_COUNT: '4000',
      })
      const ended = once(run, 'exit')
      const said = once(run.stdout as NodeJS.ReadableStream, 'data')
      const client = await connect<{ doubled(): AsyncIterable<{ n: number; pid: number }> }>({ gateway: gateway.url })
      await until(() => gateway.nodes.some(({ functions }) => functions.some(({ name }) => name === 'doubled')))
      const live = collect(client.stream.doubled())
      await until(() => gateway.stats.opened > 500)
      await kill(node)
      const again = await startNode()
      const rows = await live
      expect(String((await said)[0])).toBe('run ended\n')
      expect((await ended)[0]).toBe(0)
      // Every row once in the file, and for a subscriber that was there and kept up.
      const lines = readFileSync(out, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { n: number })
      expect(lines.map((row) => row.n).sort((a, b) => a - b)).toEqual(range(0, 4000))
      expect(rows.map((row) => row.n).sort((a, b) => a - b)).toEqual(range(0, 4000))
      expect(new Set(rows.map((row) => row.pid))).toEqual(new Set([node.pid, again.pid]))
      await client.close()
    },
  )
})

describe('rows served as a stream', () => {
  interface Served {
    rows(): AsyncIterable<{ n: number }>
  }

  /** A flow that serves what `send` is given. */
  async function serving(options: Parameters<typeof serveStream>[2]) {
    const stop = new AbortController()
    const pending: { n: number }[] = []
    let wake = (): void => {}
    const node = computeNode({ gateway: gateway.url, id: 'feed' })
    node.register('feed', async function* () {
      for (;;) {
        while (pending.length > 0) yield pending.shift()
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    })
    await node.start()
    const events: JobEvent[] = []
    let passed = 0
    const flow = dataflow('served')
    flow
      .source(
        'feed',
        remoteStream<{ n: number }>(gateway.url, (s) => s.feed()),
        { time: 'processing' },
      )
      .map((row) => {
        passed++
        return row
      })
      .sink('rows', serveStream({ gateway: gateway.url, id: 'server' }, 'rows', options))
    const done = flow.run({
      execution: 'inline',
      state: join(folder, 'state'),
      signal: stop.signal,
      onEvent: (event) => events.push(event),
    })
    const client = await connect<Served>({ gateway: gateway.url })
    await until(() => gateway.nodes.some(({ id }) => id === 'server'))
    return {
      client,
      send: (...ns: number[]) => {
        pending.push(...ns.map((n) => ({ n })))
        wake()
      },
      passed: () => passed,
      subscribed: (count: number) => until(() => gateway.nodes.find(({ id }) => id === 'server')?.inFlight === count),
      async stop() {
        stop.abort()
        const report = await done
        await client.close()
        await node.close()
        return report
      },
    }
  }

  test('reach whoever has subscribed, from then on', async () => {
    const served = await serving({ slow: 'block' })
    served.send(1, 2)
    await until(() => served.passed() === 2)
    const [a, b] = [collect(served.client.stream.rows(), 3), collect(served.client.stream.rows(), 3)]
    await served.subscribed(2)
    await sleep(50)
    served.send(3, 4, 5)
    expect(await a).toEqual([{ n: 3 }, { n: 4 }, { n: 5 }])
    expect(await b).toEqual([{ n: 3 }, { n: 4 }, { n: 5 }])
    await served.stop()
  })

  test('begin with the last few, where the flow says so', async () => {
    const served = await serving({ slow: 'block', last: 2 })
    served.send(1, 2, 3)
    await until(() => served.passed() === 3)
    await sleep(50)
    expect(await collect(served.client.stream.rows(), 2)).toEqual([{ n: 2 }, { n: 3 }])
    await served.stop()
  })

  test('end for a subscriber when the flow stops, after what came before', async () => {
    const served = await serving({ slow: 'block' })
    const rows = collect(served.client.stream.rows())
    await served.subscribed(1)
    await sleep(50)
    served.send(1)
    await until(() => served.passed() === 1)
    await served.stop()
    expect(await rows).toEqual([{ n: 1 }])
  })
})
