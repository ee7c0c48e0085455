/** Case 10, in CI's size: restarts, two nodes of one name, streams that take long, a node that only computes. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Command, Fabric, percentile, SLACK, watch } from './fabric.ts'
import { busyStream, slowStream } from './long-life.ts'

/** A tenth of the full size: pings too. */
const SILENT_MS = 1_500

const fabric = new Fabric()
let first: Command

beforeAll(async () => {
  first = await fabric.gateway('--silent', String(SILENT_MS))
  await fabric.node('n1')
  await fabric.node('n2')
})
afterAll(() => fabric.close())

test('case 10: after a restart of the gateway nodes and clients are usable at once', async () => {
  const client = await fabric.client()
  expect(await client.call.echo(1)).toBe(1)
  first.kill('SIGKILL')
  await first.ended
  await fabric.gateway('--silent', String(SILENT_MS))
  const backAt = Date.now()
  for (const node of ['n1', 'n2']) expect(await client.with({ node }).call.whoami()).toBe(node)
  expect(Date.now() - backAt).toBeLessThan(2_000 * SLACK)
  expect((await fabric.run('call', 'echo', '2')).json()).toEqual([2])
}, 60_000)

test('case 10: the later of two nodes with one name wins, the earlier is FENCED and ends', async () => {
  const watched = await watch(fabric, ['n2'])
  const earlier = await fabric.node('twice')
  const later = await fabric.node('twice', { env: { MILLRACE_NODE: 'the later' } })
  expect(await earlier.ended).toBe(1)
  expect(earlier.stderr).toMatch(/FENCED +another node registered as "twice"/)
  expect((await fabric.run('call', 'whoami', '--node', 'twice')).json()).toEqual(['the later'])
  expect(later.endedAtMs).toBe(0)
  expect(percentile(await watched.end(), 0.95)).toBeLessThan(50 * SLACK)
}, 60_000)

test('case 10: a stream that gives an item now and then is not cut, many pings long', async () => {
  expect(await slowStream(fabric, 5, (2 * SILENT_MS) / 1000)).toBe(5)
}, 60_000)

test('case 10: a stream that only computes neither kills its node nor holds up its items and other calls', async () => {
  const watched = await watch(fabric, ['n2'])
  const busy = await busyStream(fabric, 6)
  expect(busy.items).toBeGreaterThan(20)
  expect(busy.wasAlwaysListed).toBe(true)
  expect(busy.lagP99Ms).toBeLessThan(50 * SLACK)
  // An item takes 200 ms: calls that waited for one would be far above.
  expect(busy.echoP95Ms).toBeLessThan(20 * SLACK)
  expect(percentile(await watched.end(), 0.95)).toBeLessThan(50 * SLACK)
}, 60_000)
