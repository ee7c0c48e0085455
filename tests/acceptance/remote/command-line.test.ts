/** What the commands for remote nodes say and do at the edges: ports, files, threads that end, signals. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Fabric } from './fabric.ts'

const fabric = new Fabric()
beforeAll(async () => {
  await fabric.gateway()
})
afterAll(() => fabric.close())

test('a second gateway takes the next free port, and says so', async () => {
  const other = fabric.start(['gateway', '--port', String(fabric.port)])
  await other.until(() => other.lines.length > 0, 'its address')
  const { port } = JSON.parse(other.lines[0].text) as { port: number }
  expect(port).toBeGreaterThan(fabric.port)
  expect(other.stderr).toContain(`gateway at ws://127.0.0.1:${port} (${fabric.port} is taken)`)
  other.kill('SIGTERM')
  expect(await other.ended).toBe(143)
})

test('/metrics of a gateway counts', async () => {
  const gateway = fabric.start(['gateway', '--port', '0', '--metrics-port', '0'])
  await gateway.until(() => gateway.lines.length > 0, 'its address')
  const { metrics } = JSON.parse(gateway.lines[0].text) as { metrics: string }
  const text = await (await fetch(`${metrics}/metrics`)).text()
  expect(text).toMatch(/^# TYPE millrace_gateway_opened_total counter\nmillrace_gateway_opened_total 0$/m)
  expect(text).toMatch(/^# TYPE millrace_gateway_placed_again_total counter/m)
  gateway.kill('SIGINT')
  expect(await gateway.ended).toBe(130)
})

test('a node that is there before its gateway says that it waits, and connects when one comes', async () => {
  const other = new Fabric()
  try {
    const gone = await other.gateway()
    gone.kill('SIGKILL')
    await gone.ended
    fabric.write('early.ts', 'export default { early: () => true }\n')
    const node = fabric.start(['node', 'early.ts', '--id', 'early', '--gateway', other.address])
    await node.until(() => node.stderr.includes('Trying again'), 'that it waits')
    expect(node.stderr).toContain(`there is no gateway at ${other.address}`)
    await other.gateway()
    await node.until(() => node.lines.length > 0, 'that it is connected')
    expect((await other.run('call', 'early')).json()).toEqual([true])
  } finally {
    await other.close()
  }
})

test.each([
  ['enum.ts', 'enum A { B }\nexport default { b: () => A.B }\n', /FILE_TYPESCRIPT .*enum\.ts:1.*erasableSyntaxOnly/],
  ['nothing.ts', 'export const x = 1\n', /REMOTE_FILE_EXPORT .*nothing\.ts exports x, and no object of functions/],
  ['empty.ts', 'export default { a: 1 }\n', /REMOTE_FILE_EXPORT .*has no function/],
  [
    'options.ts',
    'export default { a: () => 1 }\nexport const options = { b: {} }\n',
    /REMOTE_FILE_EXPORT .*no function "b", which "options" names/,
  ],
  ['throws.ts', 'throw new Error("not today")\n', /FILE_IMPORT .*throws\.ts:1.*not today/],
  ['ends.ts', 'process.exit(7)\n', /FILE_IMPORT .*exited with code 7/],
])('a file that cannot be served is refused with the reason: %s', async (name, text, said) => {
  fabric.write(name, text)
  const node = fabric.start(['node', name, '--gateway', fabric.address])
  expect(await node.ended).toBe(2)
  expect(node.stderr).toMatch(said)
})

test('an argument that is no JSON is refused with how it is written, and nothing is called', async () => {
  const { code, stderr } = await fabric.run('call', 'echo', 'foo')
  expect(code).toBe(2)
  expect(stderr).toMatch(/^REMOTE_ARGUMENT +argument 1 is no JSON value: foo. As a text it is '"foo"'/)
})

test('a thread that ends fails its calls only, and another takes its place', async () => {
  const node = await fabric.node('threads')
  const client = (await fabric.client()).with({ node: 'threads' })
  const others = client.stream.slow_agen(30, 0.05)
  expect((await others.next()).value).toBe(0)
  await expect(client.call.exit_in_thread()).rejects.toMatchObject({ code: 'THREAD_LOST', node: 'threads' })
  expect((await others.next()).value).toBe(1)
  expect(await client.call.gen(3)).toEqual([0, 1, 2])
  await expect(client.call.exit()).rejects.toMatchObject({ code: 'THREAD_LOST', retryable: false })
  await expect(others.next()).rejects.toMatchObject({ code: 'THREAD_LOST' })
  expect(await client.call.echo('again')).toBe('again')
  await expect(client.call.thrown_later()).rejects.toThrow('nobody catches this')
  expect(await client.call.echo('again')).toBe('again')
  expect(node.endedAtMs).toBe(0)
})

test('a thread that computes on for a caller who has gone is replaced', async () => {
  const node = fabric.start(['node', 'stuck.ts', '--id', 'stuck', '--threads', '1', '--gateway', fabric.address])
  fabric.write('stuck.ts', 'export default { *stuck() { for (;;); }, *quick() { yield 1 } }\n')
  await node.until(() => node.lines.length > 0, 'the node')
  const client = (await fabric.client()).with({ node: 'stuck' })
  await expect(client.with({ deadline: '500ms' }).call.stuck()).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  expect(await client.call.quick()).toEqual([1])
  expect(node.stderr).toContain('computes on for a call that was cancelled')
})

test('Ctrl-C of a node lets calls end, and takes no new ones', async () => {
  const node = await fabric.node('draining')
  const client = (await fabric.client()).with({ node: 'draining' })
  const slept = client.call.asleep(1.5)
  await client.call.echo(1)
  node.kill('SIGINT')
  await node.until(() => node.stderr.includes('no new calls'), 'that it drains')
  await expect(client.call.echo(1)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(await slept).toBe('slept')
  expect(await node.ended).toBe(130)
})

test('calls of a file of lines; the first that fails ends them', async () => {
  await fabric.node('each')
  const good = fabric.caller('call', 'echo', '--each', '--parallel', '3', '--node', 'each')
  good.process.stdin.end('[1]\n\n["two"]\n[{"three":3}]\n')
  expect(await good.ended).toBe(0)
  expect(good.json()).toEqual([1, 'two', { three: 3 }])
  const bad = fabric.caller('call', 'echo', '--each', '--node', 'each')
  bad.process.stdin.end('[1]\n2\n')
  expect(await bad.ended).toBe(2)
  expect(bad.stderr).toMatch(/REMOTE_ARGUMENT +line 2 of the input is no JSON list/)
})
