/** Cases 4, 6 and 7: a node dies or stands still, calls are spread over nodes, deadlines and cancellation reach a node. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Command, Fabric, percentile, SLACK, watch } from './fabric.ts'

const SILENT_MS = 3_000

const fabric = new Fabric()
let n1: Command

beforeAll(async () => {
  await fabric.gateway('--silent', String(SILENT_MS))
  n1 = await fabric.node('n1')
  await fabric.node('n2', { args: ['--tag', 'gpu=true'] })
  await fabric.node('n3', { env: { MILLRACE_SLOW_MS: '1000' } })
})
afterAll(() => fabric.close())

const isListed = async (id: string): Promise<boolean> =>
  (await fabric.run('nodes')).json().some((node) => (node as { id: string }).id === id)

test('case 4: what runs on a node that is killed fails at once, with its name; others go on, and take the next call', async () => {
  const watched = await watch(fabric, ['n2', 'n3'])
  const call = fabric.caller('call', 'asleep', '600', '--node', 'n1', '--errors', 'json')
  const stream = fabric.caller('stream', 'slow_agen', '6000', '0.1', '--node', 'n1', '--errors', 'json')
  await stream.until(() => stream.lines.length >= 1, 'the first item')
  await sleep(2_900)
  n1.kill('SIGKILL')
  const killedAt = Date.now()
  for (const failed of [call, stream]) {
    expect(await failed.ended).toBe(1)
    expect(failed.endedAtMs - killedAt).toBeLessThan(1_000 * SLACK)
    expect(failed.error()).toMatchObject({ code: 'NODE_LOST', node: 'n1', retryable: false })
  }
  // Thirty in three seconds, on a machine of its own.
  expect(stream.lines.length).toBeGreaterThanOrEqual(30 - 3 * SLACK)
  expect(stream.lines.length).toBeLessThanOrEqual(31)
  expect((await fabric.run('call', 'echo', '1')).json()).toEqual([1])
  expect(percentile(await watched.end(), 0.95)).toBeLessThan(50 * SLACK)
}, 60_000)

test('case 4: a node that stands still is given up after the ping timeout, and is back when it goes on', async () => {
  n1 = await fabric.node('n1')
  const watched = await watch(fabric, ['n2', 'n3'])
  const call = fabric.caller('call', 'asleep', '600', '--node', 'n1', '--errors', 'json')
  await sleep(2_000)
  n1.kill('SIGSTOP')
  const stoppedAt = Date.now()
  expect(await call.ended).toBe(1)
  expect(call.error()).toMatchObject({ code: 'NODE_LOST', node: 'n1' })
  expect(call.endedAtMs - stoppedAt).toBeLessThan(SILENT_MS + 500 * SLACK)
  expect(await isListed('n1')).toBe(false)
  n1.kill('SIGCONT')
  const goesOnAt = Date.now()
  while (!(await isListed('n1'))) expect(Date.now() - goesOnAt).toBeLessThan(5_000 * SLACK)
  expect((await fabric.run('call', 'whoami', '--node', 'n1')).json()).toEqual(['n1'])
  expect(percentile(await watched.end(), 0.95)).toBeLessThan(50 * SLACK)
}, 60_000)

async function calls(count: number, ...args: readonly string[]): Promise<Record<string, number>> {
  const command = fabric.caller('call', ...args, '--each')
  command.process.stdin.end('[]\n'.repeat(count))
  expect(await command.ended, command.stderr).toBe(0)
  const nodes: Record<string, number> = {}
  for (const id of command.json() as string[]) nodes[id] = (nodes[id] ?? 0) + 1
  return nodes
}

test('case 6: round-robin is exact, the least busy get the work, and tags decide where', async () => {
  const watched = await watch(fabric, ['n1', 'n2', 'n3'])
  expect(await calls(90, 'whoami')).toEqual({ n1: 30, n2: 30, n3: 30 })
  const { n3 = 0, ...others } = await calls(60, 'work', '--parallel', '6')
  expect(n3).toBeLessThanOrEqual(12)
  expect(Object.values(others).reduce((a, b) => a + b, n3)).toBe(60)
  expect(await calls(20, 'whoami', '--where', 'gpu=true')).toEqual({ n2: 20 })
  const nowhere = await fabric.run('call', 'whoami', '--where', 'zone=mars', '--errors', 'json')
  expect(nowhere.code).toBe(1)
  expect(nowhere.error()).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('zone=mars') })
  const client = await fabric.client()
  const begin = performance.now()
  await expect(client.with({ where: { zone: 'mars' } }).call.whoami()).rejects.toThrow('zone=mars')
  expect(performance.now() - begin).toBeLessThan(50 * SLACK)
  expect(percentile(await watched.end(), 0.95)).toBeLessThan(50 * SLACK)
}, 60_000)

test('case 7: a deadline ends the call here and on its node, and it ran once', async () => {
  const watched = await watch(fabric, ['n2', 'n3'])
  const { code, error, endedAtMs, stderr } = await fabric
    .run('call', 'asleep_mark', '6', '--deadline', '1000', '--node', 'n1', '--errors', 'json')
    .then((command) => ({ ...command, error: () => command.error(), code: command.code, endedAtMs: command.endedAtMs }))
  expect(code, stderr).toBe(1)
  expect(error()).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  await sleep(250 * SLACK)
  const marks = fabric.marked()
  expect(marks.map(({ what }) => what)).toEqual(['started', 'aborted'])
  expect(marks[1].atMs - marks[0].atMs).toBeGreaterThan(1_000 - 100 * SLACK)
  expect(marks[1].atMs - marks[0].atMs).toBeLessThan(1_000 + 350 * SLACK)
  expect(endedAtMs - marks[0].atMs).toBeLessThan(1_000 + 350 * SLACK)
  expect(percentile(await watched.end(), 0.95)).toBeLessThan(50 * SLACK)
})

test.each([
  ['--take', 0, (stream: Command) => stream],
  ['Ctrl-C', 130, (stream: Command) => stream.kill('SIGINT')],
  ['a pipe that closes', 0, (stream: Command) => stream.process.stdout.destroy()],
] as const)('case 7: a stream that is left (%s) ends on its node, and its finally runs', async (how, exit, leave) => {
  const client = (await fabric.client()).with({ node: 'n1' })
  const progress = async () => (await client.call.progress()) as { n: number; closed: boolean }
  const closed = (): number => fabric.marked().filter(({ what }) => what === 'closed').length
  const before = closed()
  const take = how === '--take' ? ['--take', '10'] : []
  const stream = fabric.caller('stream', 'agen_count_slow', '600', '0.05', '--node', 'n1', ...take)
  await stream.until(() => stream.lines.length >= 10, 'ten items')
  const leftAt = Date.now()
  leave(stream)
  expect(await stream.ended).toBe(exit)
  while (closed() === before) {
    expect(Date.now() - leftAt).toBeLessThan(250 * SLACK)
    await sleep(10)
  }
  const { n } = await progress()
  await sleep(200)
  expect(await progress()).toMatchObject({ n, closed: true })
  // An item each 50 ms, for as long as leaving may take.
  expect(n).toBeLessThanOrEqual(10 + 5 * SLACK)
})
