import { mkdtempSync, rmSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, test } from 'vitest'
import { client, type LiveRun, live, post } from '../../test/live.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-live-threads-'))
const path = join(folder, 'out.jsonl')
let run: LiveRun
afterEach(() => run.stop())
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test.each([1, 2])(
  'HTTP in, file and WebSocket out, in %i worker threads',
  async (workers) => {
    // The module reads the path where it is loaded, here and in each worker.
    process.env.MILLRACE_TEST_OUT = path
    const { default: flow } = await import('../../test/live-threads-flow.ts')
    run = live(flow, { execution: 'threads', workers })
    const subscriber = await client(await run.url('live'))
    const rows = Array.from({ length: 3000 }, (_, n) => ({ key: `k${n % 50}`, n }))
    expect(await post(await run.url('in'), rows)).toMatchObject({ status: 200, body: { records: 3000 } })
    const written = (await readFile(path, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(written.sort((a, b) => a.n - b.n)).toEqual(rows)
    // Every worker has rows of its own keys; they all come out of the one server.
    await subscriber.until((m) => m.length === 3000)
    for (const key of ['k0', 'k7', 'k49']) {
      const own = subscriber.messages.filter((m) => (m as { key: string }).key === key)
      expect(own).toEqual(rows.filter((r) => r.key === key))
    }
    subscriber.socket.close()
  },
  60_000,
)
