/** The exposition as Prometheus reads it. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { dataflow } from 'millrace'
import { nodePorts } from 'millrace/host'
import { Observer } from 'millrace/observe'
import { arraySink, arraySource } from 'millrace/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type MetricsServer, startMetricsServer } from './metrics-server.ts'

const state = mkdtempSync(path.join(tmpdir(), 'millrace-metrics-'))
const observer = new Observer(nodePorts())
let server: MetricsServer

beforeAll(async () => {
  const flow = dataflow('metered')
  flow
    .source('numbers', arraySource([1, 2, 3, 4]), { time: (n) => n, disorder: '1s' })
    .filter((n) => n > 1)
    .sink('out', arraySink<number>([]))
  const run = await flow.start({ state, execution: 'inline', onEvent: observer.onEvent })
  observer.attach(run.job)
  await run.done
  server = await startMetricsServer(observer, '1.2.3', 0)
})
afterAll(async () => {
  await server.close()
  rmSync(state, { recursive: true, force: true })
})

const get = (where: string, init?: RequestInit) => fetch(`${server.url}${where}`, init)

test('every family has help and type, and the counters of the run', async () => {
  const response = await get('/metrics')
  const text = await response.text()
  expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4')
  const named = [...text.matchAll(/^# (HELP|TYPE) (millrace_\w+) /gm)].map((m) => `${m[1]} ${m[2]}`)
  expect(new Set(named).size).toBe(named.length)
  expect(text).toContain('millrace_step_records_total{flow="metered",step="numbers",direction="in"} 4')
  expect(text).toContain('millrace_filtered_records_total{flow="metered",step="filter#1"} 1')
  expect(text).toContain('millrace_build_info{version="1.2.3"} 1')
  expect(text).toMatch(/millrace_commit_duration_seconds_bucket\{flow="metered",phase="decision",le="\+Inf"\} [1-9]/)
  expect(text).toContain('process_cpu_seconds_total')
})

test('promtool finds nothing to complain about', async ({ skip }) => {
  if (spawnSync('promtool', ['--version']).status !== 0) skip('promtool is not installed')
  const text = await (await get('/metrics')).text()
  const own = text
    .split('\n\n')
    .filter((block) => block.includes(' millrace_'))
    .join('\n')
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
    input: `${own}\n`,
    encoding: 'utf8',
  })
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' })
})

test('a name that is not of the loopback is refused: a page must not reach it by a name of its own', async () => {
  const status = await new Promise<number | undefined>((resolve, reject) => {
    import('node:http').then(({ get: request }) =>
      request(`${server.url}/metrics`, { headers: { host: 'evil.example' } }, (r) => resolve(r.statusCode)).on(
        'error',
        reject,
      ),
    )
  })
  expect(status).toBe(403)
})

test('an ended run is alive and not ready', async () => {
  expect((await get('/healthz')).status).toBe(200)
  expect((await get('/readyz')).status).toBe(503)
})

test('a taken port makes it take the next one and say so', async () => {
  const other = createServer()
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as AddressInfo
  const second = await startMetricsServer(observer, '1.2.3', port)
  expect(second.note).toBe(` (${port} is taken)`)
  expect(second.url).not.toContain(`:${port}`)
  await second.close()
  other.close()
})
