/** Clients that stop reading, in processes of their own: their producers stop, memory stays, others do not notice. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Client, connect } from '../../src/index.ts'

interface Functions {
  echo(value: unknown): unknown
  progress(): { n: number; closed: number }
  count(n: number, bytes: number): AsyncIterable<{ i: number }>
}

const SLACK = 5
const MIB = 1024 * 1024
/** The ten seconds; three in CI. */
const stopMs = process.env.MILLRACE_CASES === undefined ? 3_000 : 10_000
const program = path.join(import.meta.dirname, 'peer.ts')

let children: ChildProcess[] = []
let gateway: ChildProcess
let node: ChildProcess
let slow: ChildProcess
let other: Client<Functions>

beforeEach(async () => {
  gateway = peer('gateway')
  const { url } = (await heard(gateway, 'url')) as { url: string }
  node = peer('node', url)
  await heard(node, 'up')
  slow = peer('client', url)
  await heard(slow, 'up')
  other = await connect<Functions>({ gateway: url })
  // The heaps of fresh processes grow under any load; what is measured is what a client that stops adds to it.
  await echoes(3_000, 0)
}, 60_000)

afterEach(async () => {
  await other?.close()
  for (const child of children) child.kill('SIGKILL')
  children = []
})

test(`a client that takes 10 items and stops for ${stopMs / 1000} s holds its producer still, and nobody else`, async () => {
  expect(await ask(slow, 10)).toEqual(range(0, 10))
  await sleep(300)
  const before = await figures()
  expect(before.n).toBeLessThanOrEqual(10 + 256)
  const latencies = await echoes(stopMs)
  const after = await figures()
  expect(after.n, 'produced while it stood still').toBe(before.n)
  expect(after.gatewayRss - before.gatewayRss).toBeLessThan(16 * MIB)
  expect(after.nodeRss - before.nodeRss).toBeLessThan(16 * MIB)
  expect(latencies[Math.floor(latencies.length * 0.99)]).toBeLessThan(50 * SLACK)
  expect(await ask(slow, 1_000), 'the items that follow').toEqual(range(10, 1_010))
  await ask(slow, -1)
  await until(async () => (await other.call.progress()).closed === 1, 250 * SLACK)
}, 60_000)

test('a client whose process is stopped is cut off when it has been silent, its producer ends, memory is as before', async () => {
  expect(await ask(slow, 10)).toEqual(range(0, 10))
  const before = await figures()
  process.kill(slow.pid as number, 'SIGSTOP')
  const latencies = await echoes(1_000)
  expect(latencies[Math.floor(latencies.length * 0.99)]).toBeLessThan(50 * SLACK)
  await until(async () => (await other.call.progress()).closed === 1, 2_500 * SLACK)
  const after = await figures()
  expect(after.n).toBeLessThanOrEqual(10 + 256)
  expect(after.gatewayRss - before.gatewayRss).toBeLessThan(16 * MIB)
  expect(after.nodeRss - before.nodeRss).toBeLessThan(16 * MIB)
}, 60_000)

function peer(...args: readonly string[]): ChildProcess {
  const child = fork(program, args, {
    execArgv: ['--conditions=millrace-source', '--expose-gc'],
    serialization: 'advanced',
  })
  children.push(child)
  return child
}

async function heard(child: ChildProcess, field: string): Promise<object> {
  for (;;) {
    const [message] = (await once(child, 'message')) as [object]
    if (field in message) return message
  }
}

async function ask(child: ChildProcess, take: number): Promise<unknown> {
  const answer = heard(child, 'taken')
  child.send({ take })
  return ((await answer) as { taken: unknown }).taken
}

async function figures(): Promise<{ n: number; gatewayRss: number; nodeRss: number }> {
  const rss = async (child: ChildProcess): Promise<number> => {
    const answer = heard(child, 'rss')
    child.send('rss')
    return ((await answer) as { rss: number }).rss
  }
  const { n } = await other.call.progress()
  return { n, gatewayRss: await rss(gateway), nodeRss: await rss(node) }
}

/** Rounds of 100 calls at once, for so long; ms of each, sorted. */
async function echoes(ms: number, pauseMs = 200): Promise<number[]> {
  const latencies: number[] = []
  const until = performance.now() + ms
  while (performance.now() < until) {
    const calls = Array.from({ length: 100 }, async (_, i) => {
      const from = performance.now()
      expect(await other.call.echo(i)).toBe(i)
      latencies.push(performance.now() - from)
    })
    await Promise.all(calls)
    await sleep(pauseMs)
  }
  return latencies.sort((a, b) => a - b)
}

async function until(isTrue: () => Promise<boolean>, withinMs: number): Promise<void> {
  for (const from = performance.now(); !(await isTrue()); await sleep(10)) {
    expect(performance.now() - from).toBeLessThan(withinMs)
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}
