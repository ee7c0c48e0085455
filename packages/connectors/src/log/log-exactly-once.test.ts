import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openLog } from './index.ts'

const KILLS = Number(process.env.MILLRACE_KILLS ?? 5)
const runner = fileURLToPath(new URL('../../test/log-flow.ts', import.meta.url))

let folder: string
let child: ChildProcess | undefined
let stderr = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-log-flow-'))
})
afterEach(async () => {
  await kill()
  rmSync(folder, { recursive: true, force: true })
})

function start(): void {
  child = spawn(
    process.execPath,
    ['--conditions=millrace-source', runner, join(folder, 'log'), join(folder, 'state')],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  child.stderr?.on('data', (text) => {
    stderr += text
  })
}

/** True when the blow hit a living process. */
async function kill(): Promise<boolean> {
  const victim = child
  child = undefined
  if (victim === undefined) return false
  if (victim.exitCode !== null) return false
  const ended = new Promise<string | null>((resolve) => victim.once('exit', (_, signal) => resolve(signal)))
  victim.kill('SIGKILL')
  return (await ended) === 'SIGKILL'
}

test(`a flow from log to log is exactly-once under ${KILLS} kills`, { timeout: 60_000 + KILLS * 8000 }, async () => {
  const log = await openLog(join(folder, 'log'))
  await log.admin.createTopic('in', { partitions: 2 })
  await log.admin.createTopic('out', { partitions: 2 })
  const producer = await log.producer()
  const expected = new Map<string, { n: number; total: number }>()
  let at = 0
  const send = async (rows: number): Promise<void> => {
    const records = Array.from({ length: rows }, () => {
      const reading = { key: `k${at % 6}`, at: at++, value: at % 11 }
      const window = `${reading.key} ${Math.floor(reading.at / 100) * 100}`
      const seen = expected.get(window) ?? { n: 0, total: 0 }
      expected.set(window, { n: seen.n + 1, total: seen.total + reading.value })
      return { topic: 'in', key: reading.key, value: JSON.stringify(reading) }
    })
    await producer.send(records)
  }
  const reader = await log.consumer({ topics: ['out'] })
  const results: string[] = []
  const read = async (): Promise<number> => {
    const records = await reader.poll({ wait: '20ms' })
    for (const record of records) {
      const { key, window, n, total } = JSON.parse(String(record.value))
      results.push(`${key} ${window.start} ${n} ${total}`)
    }
    return records.length
  }

  start()
  for (let kills = 0; kills < KILLS; ) {
    // The blow falls while records come and results go out, at a random moment after the first result.
    const before = results.length
    for (const until = Date.now() + 20_000; results.length === before && Date.now() < until; ) {
      await send(100)
      await read()
    }
    expect(stderr).toBe('')
    const until = Date.now() + Math.random() * 200
    while (Date.now() < until) {
      await send(50)
      await read()
    }
    if (await kill()) kills++
    start()
  }
  // Later than every window, in each partition.
  const marks = [0, 1].map((partition) => ({
    topic: 'in',
    partition,
    value: JSON.stringify({ key: 'end', at: at + 10_000, value: 0 }),
  }))
  await producer.send(marks)
  for (const until = Date.now() + 20_000; results.length < expected.size && Date.now() < until; ) await read()
  // Time for a duplicate to show.
  await sleep(300)
  while ((await read()) > 0);
  expect(stderr).toBe('')
  const wanted = [...expected].map(([window, { n, total }]) => `${window} ${n} ${total}`)
  expect(wanted.length).toBeGreaterThan(6 * KILLS)
  expect(results.sort()).toEqual(wanted.sort())
  await kill()
  await log.close()
})
