/** Cases 1, 2 and 5: order, what a sensor node says, and a consumer that stops. */
import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Command, Fabric, percentile, SLACK, watch } from './fabric.ts'

const fabric = new Fabric()
let gateway: Command
let node: Command

beforeAll(async () => {
  gateway = await fabric.gateway()
  node = await fabric.node('n1')
  await fabric.node('n2', { file: fileURLToPath(new URL('./echo-only.ts', import.meta.url)) })
})
afterAll(() => fabric.close())

test('case 1: 100,000 items of either kind of generator come in order, the first at once; null is an item', async () => {
  const watched = await watch(fabric, ['n1', 'n2'])
  for (const name of ['gen', 'agen']) {
    const { code, lines } = await fabric.run('stream', name, '100000')
    expect(code).toBe(0)
    expect(lines.length).toBe(100_000)
    expect(lines.reduce((sum, line) => sum + Number(line.text), 0)).toBe(4_999_950_000)
    const hash = createHash('sha256').update(`${lines.map((line) => line.text).join('\n')}\n`)
    expect(hash.digest('hex')).toBe('6b3cecf895b686a8659bbec06f0a84fc869b00a8d47684e494766b87260b878b')
  }
  expect((await fabric.run('stream', 'gen_none', '3')).json()).toEqual([null, null, null])
  const empty = await fabric.run('stream', 'gen', '0')
  expect([empty.code, empty.lines]).toEqual([0, []])
  const client = await fabric.client()
  for (const name of ['gen', 'agen']) {
    const begin = performance.now()
    const stream = client.stream[name](100_000)
    expect((await stream.next()).value).toBe(0)
    expect(performance.now() - begin).toBeLessThan(100 * SLACK)
    await stream.cancel()
  }
  expect(percentile(await watched.end(), 0.95)).toBeLessThan(50 * SLACK)
})

const ROWS = `
1 25.00 25.00 0.00 25.00 25.00 insufficient_data 1
2 25.40 25.20 0.20 25.00 25.40 insufficient_data 2
3 24.60 25.00 0.33 24.60 25.40 decreasing 3
4 25.20 25.05 0.30 24.60 25.40 decreasing 4
5 25.20 25.08 0.27 24.60 25.40 increasing 5
6 31.00 26.07 2.22 24.60 31.00 increasing 6 !
7 25.10 25.93 2.08 24.60 31.00 decreasing 7 !
8 24.90 25.80 1.98 24.60 31.00 decreasing 8
9 25.00 25.71 1.88 24.60 31.00 decreasing 9
10 25.30 25.67 1.79 24.60 31.00 increasing 10
11 25.60 25.73 1.78 24.60 31.00 increasing 10
12 19.00 25.09 2.69 19.00 31.00 decreasing 10 !
13 25.00 25.13 2.69 19.00 31.00 decreasing 10 !
14 25.00 25.11 2.69 19.00 31.00 increasing 10 !
15 25.00 25.09 2.69 19.00 31.00 stable 10 !`
  .trim()
  .split('\n')
  .map((line) => line.split(' '))

interface SensorRecord {
  readonly sample_id: number
  readonly readings: { readonly temperature: number }
  readonly statistics: { readonly temperature: Readonly<Record<string, number | string>> }
  readonly health_status: string
  readonly anomalies?: readonly string[]
}

test('case 2: the statistics of a sensor are those of the table', async () => {
  const file = new URL('../../../examples/concurrent-streaming/sensors/functions.ts', import.meta.url)
  await fabric.node('data-node', { file: fileURLToPath(file) })
  const watched = await watch(fabric, ['n1', 'n2'])
  const replay = { temperature: ROWS.map(([, reading]) => Number(reading)) }
  const input = { sensors: ['temperature'], sampleRate: 100, duration: 30, replay }
  const { code, lines, stderr } = await fabric.run('stream', 'readings', JSON.stringify(input))
  expect([code, stderr]).toEqual([0, ''])
  const rows = lines.map((line) => {
    const record = JSON.parse(line.text) as SensorRecord
    const { mean, std, min, max, trend, samples } = record.statistics.temperature
    const fixed = [record.readings.temperature, mean, std, min, max].map((n) => Number(n).toFixed(2))
    expect(record.health_status).toBe('anomalies' in record ? 'warning' : 'healthy')
    if (record.anomalies !== undefined) expect(record.anomalies).toEqual(['temperature_high_variance'])
    const isOdd = record.anomalies === undefined ? [] : ['!']
    return [String(record.sample_id), ...fixed, String(trend), String(samples), ...isOdd]
  })
  expect(rows).toEqual(ROWS)
  expect(percentile(await watched.end(), 0.95)).toBeLessThan(50 * SLACK)
})

test('case 5: a consumer that stops reading stops its producer, and nobody else', async () => {
  const STOPPED_MS = 10_000
  const watched = await watch(fabric, ['n1', 'n2'])
  const client = await fabric.client()
  const progress = async () => (await client.with({ node: 'n1' }).call.progress()) as { n: number; closed: boolean }
  const reader = fabric.caller('stream', 'agen_count', '1000000', '1024')
  await reader.until(() => reader.lines.length >= 10, 'ten items')
  reader.process.stdout.pause()
  await sleep(1_000)
  const [before, rssBefore] = [await progress(), [gateway.rss, node.rss]]
  const looks: number[] = []
  const echoes: number[] = []
  for (let ms = 0; ms < STOPPED_MS; ms += 1_000) {
    looks.push((await progress()).n)
    await Promise.all(
      Array.from({ length: 100 }, async () => {
        const begin = performance.now()
        await client.call.echo(1)
        echoes.push(performance.now() - begin)
      }),
    )
    await sleep(1_000)
  }
  expect(new Set(looks)).toEqual(new Set([before.n]))
  // Beside the window of 256 items: what lies in the pipe and in the output of the command, 64 KiB each.
  const unread = Math.ceil((4 * 64 * 1024) / 1024)
  expect(before.n).toBeLessThanOrEqual(reader.lines.length + 256 + unread)
  expect(percentile(echoes, 0.99)).toBeLessThan(50 * SLACK)
  expect(gateway.rss - rssBefore[0]).toBeLessThan(16 * 1024 * 1024)
  expect(node.rss - rssBefore[1]).toBeLessThan(16 * 1024 * 1024)
  const read = reader.lines.length
  reader.process.stdout.resume()
  await reader.until(() => reader.lines.length >= read + 1_000, 'a thousand more')
  const items = reader.lines.slice(0, read + 1_000).map((line) => (JSON.parse(line.text) as { i: number }).i)
  expect(items).toEqual(Array.from({ length: read + 1_000 }, (_, i) => i))
  reader.process.stdout.destroy()
  const closedAt = performance.now()
  await reader.ended
  while (!(await progress()).closed) expect(performance.now() - closedAt).toBeLessThan(250 * SLACK)
  expect(percentile(await watched.end(), 0.95)).toBeLessThan(50 * SLACK)
}, 60_000)

test('case 5, exactly: the producer is ahead of its consumer by no more than the window', async () => {
  const client = (await fabric.client()).with({ node: 'n1' })
  const stream = client.stream.agen_count(1_000_000, 1024)
  for (let i = 0; i < 10; i++) expect((await stream.next()).value).toMatchObject({ i })
  await sleep(500)
  const { n } = (await client.call.progress()) as { n: number }
  expect(n).toBeLessThanOrEqual(10 + 256)
  await stream.cancel()
})
