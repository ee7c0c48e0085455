/** The main job on the first flights of its data set: what it finds, and that an interrupted run ends like a calm one. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const flow = fileURLToPath(new URL('./flights.ts', import.meta.url))
const cli = fileURLToPath(new URL('../../packages/core/bin/millrace.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'millrace-flights-'))
const FLIGHTS = 300_000

describe('the main job', { timeout: 120_000 }, () => {
  beforeAll(() => finished(start('calm')), 120_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('counts every flight once per airport and hour, and once per day', () => {
    const hours = read('calm', 'hourly.jsonl') as { flights: number }[]
    const days = read('calm', 'days.jsonl') as { day: string; flights: number; lateShare: number }[]
    expect(total(hours)).toBe(FLIGHTS)
    expect(total(days)).toBe(FLIGHTS)
    expect(days[0].day).toBe('2001-01-01')
    for (const day of days) expect(day.lateShare).toBeLessThan(1)
  })

  it('reports flights that were far later than the hour before at their airport', () => {
    const anomalies = read('calm', 'anomalies.jsonl') as { delay: number; usual: number }[]
    expect(anomalies.length).toBeGreaterThan(10)
    for (const flight of anomalies) expect(flight.delay).toBeGreaterThan(flight.usual)
  })

  it('goes on after SIGTERM, and after kill -9, and its output equals that of a run nobody disturbed', async () => {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const child = start('wild')
      await firstOutput('wild')
      child.kill(signal)
      await exit(child)
    }
    await finished(start('wild'))
    for (const file of ['hourly.jsonl', 'anomalies.jsonl', 'days.jsonl']) {
      expect(lines('wild', file), file).toEqual(lines('calm', file))
    }
  })
})

function start(name: string): ChildProcess {
  return spawn(
    process.execPath,
    ['--conditions=millrace-source', cli, 'run', flow, '--state', join(folder, name, 'state'), '--no-progress'],
    {
      env: { ...process.env, FLIGHTS_OUT: join(folder, name), FLIGHTS_LIMIT: String(FLIGHTS) },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
}

function exit(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('exit', resolve))
}

async function finished(child: ChildProcess): Promise<void> {
  let stderr = ''
  child.stderr?.on('data', (chunk) => {
    stderr += chunk
  })
  expect(await exit(child), stderr).toBe(0)
}

/** Waits until the run has committed more than it had. */
async function firstOutput(name: string): Promise<void> {
  const file = join(folder, name, 'hourly.jsonl')
  const before = existsSync(file) ? readFileSync(file).length : 0
  while (!existsSync(file) || readFileSync(file).length <= before) await new Promise((r) => setTimeout(r, 20))
}

function lines(name: string, file: string): string[] {
  return readFileSync(join(folder, name, file), 'utf8')
    .trimEnd()
    .split('\n')
    .sort()
}

function read(name: string, file: string): unknown[] {
  return lines(name, file).map((line) => JSON.parse(line))
}

function total(rows: readonly { flights: number }[]): number {
  return rows.reduce((sum, row) => sum + row.flights, 0)
}
