// Background jobs with real processes: a table of tiny jobs in a folder of the test's own.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startOf } from '../../scripts/lib/process.mjs'
import { root } from './source-files.ts'

// A unit notes its seed and the process it starts; what else it does, the word in the file of that seed says.
const UNIT = `
import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
const seed = process.argv[2]
appendFileSync('ran', seed + '\\n')
const does = existsSync('does-' + seed) ? readFileSync('does-' + seed, 'utf8') : ''
if (does === 'wait') {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  appendFileSync('waits', child.pid + '\\n')
  await new Promise(() => setInterval(() => {}, 1000))
}
if (does === 'fail') { console.error('the reason'); process.exit(3) }
if (does !== 'silent') console.log(JSON.stringify({ records: 10 }))
`
const JOBS = `
const job = { what: 'a test', seedsPerUnit: 2, args: (seed) => ['unit.mjs', String(seed)], counts: (text) => text === '' ? null : JSON.parse(text) }
export const jobs = {
  tiny: { ...job, units: 3, unitLimitMs: 60_000, lineEveryMs: 100 },
  short: { ...job, units: 2, unitLimitMs: 4_000 },
}
`

let folder: string

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'millrace-full-'))
  writeFileSync(path.join(folder, 'unit.mjs'), UNIT)
  writeFileSync(path.join(folder, 'jobs.mjs'), JOBS)
})
afterEach(() => {
  for (const name of ['tiny', 'short']) full(name, '--stop')
  rmSync(folder, { recursive: true, force: true })
})

test('a job runs its units in turn and leaves evidence; then it starts again on request only', async () => {
  expect(full('tiny', '--status').stdout).toBe('tiny: 0 of 3 units, 0 failed, 0.0 min, not started\n')
  expect(full('tiny').stdout).toMatch(/^started tiny as process \d+; progress in .*tiny.log and with --status\n$/)
  await finished('tiny')
  expect(ran()).toEqual([1, 3, 5])
  expect(evidence('tiny')).toMatchObject({
    job: 'tiny',
    seeds: { from: 1, to: 6 },
    units: { passed: 3, failed: 0 },
    failed: [],
    counts: { records: 30 },
    machine: expect.stringMatching(/cores, \d+ GB memory/),
    versions: [{ commit: expect.stringMatching(/^[0-9a-f]{40}/), node: process.version, units: 3 }],
  })
  expect(full('tiny')).toMatchObject({ status: 0, stdout: expect.stringContaining('finished; again from the first') })
  expect(full('tiny', '--restart').stdout).toContain('started')
  await finished('tiny')
  expect(ran()).toEqual([1, 3, 5, 1, 3, 5])
})

test('a stopped job has ended its unit with all it started, and goes on with that unit', async () => {
  does(3, 'wait')
  full('tiny')
  const waiting = await waitsFor()
  expect(full('tiny').stdout).toContain('already running: tiny: 1 of 3 units')
  expect(full('tiny', '--restart')).toMatchObject({ status: 1, stderr: expect.stringContaining('Stop it first') })
  expect(full('tiny', '--stop').stdout).toBe('stopped tiny\n')
  await until('the unit has ended', () => startOf(waiting) === null)
  expect(full('tiny', '--status').stdout).toMatch(/^tiny: 1 of 3 units, .* stopped, \d/)
  expect(full('tiny', '--stop').stdout).toBe('tiny is not running\n')
  does(3, '')
  full('tiny')
  await finished('tiny')
  expect(ran()).toEqual([1, 3, 3, 5])
})

test('a worker killed from outside is noticed; what it had started is ended before it goes on', async () => {
  does(3, 'wait')
  full('tiny')
  const waiting = await waitsFor()
  process.kill(worker(), 'SIGKILL')
  await until('the status says stopped', () => full('tiny', '--status').stdout.includes('stopped'))
  expect(startOf(waiting)).not.toBeNull()
  does(3, '')
  full('tiny')
  await finished('tiny')
  expect(startOf(waiting)).toBeNull()
  expect(ran()).toEqual([1, 3, 3, 5])
})

test('of two starts at once one runs', async () => {
  does(1, 'wait')
  const starts = await Promise.all([fullLater('tiny'), fullLater('tiny')])
  expect(starts.map((text) => text.split(' ')[0]).sort()).toEqual(['already', 'started'])
  await waitsFor()
  expect(ran()).toEqual([1])
})

test('units that fail, hang or print no result are in the evidence, and the others run', async () => {
  does(1, 'fail')
  does(3, 'silent')
  full('tiny')
  await finished('tiny')
  expect(evidence('tiny')).toMatchObject({
    units: { passed: 1, failed: 2 },
    failed: [
      { seeds: { from: 1, to: 2 }, why: 'exit code 3' },
      { seeds: { from: 3, to: 4 }, why: 'printed no result' },
    ],
    counts: { records: 10 },
  })
  expect(log('tiny')).toContain('seeds 1 to 2 failed, exit code 3 (node unit.mjs 1):\nthe reason')
  expect(full('tiny')).toMatchObject({ status: 1, stdout: expect.stringContaining('2 FAILED (seeds 1-2, 3-4)') })
  does(1, 'wait')
  full('short')
  await finished('short')
  process.kill(await waitsFor(), 'SIGKILL')
  expect(evidence('short').failed[0]).toEqual({ seeds: { from: 1, to: 2 }, why: 'not done after 4000 ms' })
})

test('lines of progress come while a unit takes its time', async () => {
  does(3, 'wait')
  full('tiny')
  await until('two lines', () => (log('tiny').match(/1 of 3 units.*; seeds 3 to 4 for \d+ s/g) ?? []).length >= 2)
})

test('neither a zombie nor a later process with the number counts as running, and the later one is left alone', async () => {
  const parent = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    const zombie = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)))
    await until('it has ended', () => startOf(zombie) === null)
    process.kill(zombie, 0)
    for (const other of [
      { pid: zombie, start: '1' },
      { pid: process.pid, start: '1' },
    ]) {
      mkdirSync(path.join(folder, '.full'), { recursive: true })
      writeFileSync(
        progressFile(),
        JSON.stringify({ done: 1, failed: [], workedMs: 0, startedAt: '', versions: [], worker: other }),
      )
      expect(full('tiny', '--status').stdout).toContain('stopped')
      expect(full('tiny', '--stop').stdout).toBe('tiny is not running\n')
    }
  } finally {
    parent.kill('SIGKILL')
  }
})

function full(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['scripts/full.mjs', ...args], { cwd: root, encoding: 'utf8', env: env() })
}

async function fullLater(...args: string[]): Promise<string> {
  const child = spawn(process.execPath, ['scripts/full.mjs', ...args], { cwd: root, env: env() })
  let text = ''
  child.stdout.on('data', (chunk) => {
    text += chunk
  })
  await new Promise((resolve) => child.once('close', resolve))
  return text
}

function env(): NodeJS.ProcessEnv {
  return { ...process.env, MILLRACE_FULL_TEST: folder }
}

function does(seed: number, word: string): void {
  writeFileSync(path.join(folder, `does-${seed}`), word)
}

function ran(): number[] {
  return lines('ran')
}

/** The process started by a unit that waits. */
async function waitsFor(): Promise<number> {
  await until('a unit waits', () => lines('waits').length > 0)
  return lines('waits')[0]
}

function lines(name: string): number[] {
  const file = path.join(folder, name)
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map(Number) : []
}

function progressFile(): string {
  return path.join(folder, '.full', 'tiny.json')
}

function worker(): number {
  return JSON.parse(readFileSync(progressFile(), 'utf8')).worker.pid
}

function log(name: string): string {
  return readFileSync(path.join(folder, '.full', `${name}.log`), 'utf8')
}

function evidence(name: string) {
  return JSON.parse(readFileSync(path.join(folder, 'bench', 'evidence', `${name}.json`), 'utf8'))
}

async function finished(name: string): Promise<void> {
  await until(`${name} is finished`, () => full(name, '--status').stdout.includes(', finished'))
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const startedMs = performance.now(); !holds(); await sleep(50)) {
    if (performance.now() - startedMs > 25_000) throw new Error(`waited 25 s until ${what}`)
  }
}
