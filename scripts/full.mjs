// Long jobs in the background, one unit after another, which go on where they stopped:
//
//   npm run full -- NAME              starts or continues
//   npm run full -- NAME --status     how far it is
//   npm run full -- NAME --stop       stops; the unit at hand is done again later
//   npm run full -- NAME --restart    from the first unit
//
// .full/NAME.json holds the progress, written after each unit; .full/NAME.log has a line a minute and the output of
// the units that failed.

import { spawn, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { root } from './lib/paths.mjs'

/**
 * @typedef {object} Job
 * @property {string} what
 * @property {number} units
 * @property {string} needs file that must exist
 * @property {(unit: number) => string[]} args arguments for Node that do one unit, counted from 0
 *
 * @typedef {{ done: number, failed: number[], pid: number | null, workedMs: number }} Progress
 */

/** @type {Record<string, Job>} */
const jobs = {
  sim: {
    what: '1000 simulated runs, 10 seeds a unit',
    units: 100,
    needs: 'simulation/main.ts',
    args: (unit) => ['--conditions=millrace-source', 'simulation/main.ts', '--from', `${unit * 10}`, '--seeds', '10'],
  },
  kill: {
    what: '20 runs of real processes ended by kill -9',
    units: 20,
    needs: 'simulation/kill.ts',
    args: (unit) => ['--conditions=millrace-source', 'simulation/kill.ts', '--seed', `${unit}`],
  },
}

const LINE_EVERY_MS = 60_000
const folder = path.join(root, '.full')

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    status: { type: 'boolean' },
    stop: { type: 'boolean' },
    restart: { type: 'boolean' },
    /** The detached process itself. */
    work: { type: 'boolean' },
  },
})
const name = positionals[0] ?? ''
const job = jobs[name]
if (job === undefined) {
  console.error(`usage: npm run full -- NAME [--status | --stop | --restart]`)
  for (const [known, { what }] of Object.entries(jobs)) console.error(`  ${known.padEnd(8)}${what}`)
  process.exit(2)
}
const progressFile = path.join(folder, `${name}.json`)
const logFile = path.join(folder, `${name}.log`)
mkdirSync(folder, { recursive: true })

if (values.work) work(job)
else if (values.status) console.log(describe(job, progress()))
else if (values.stop) stop()
else start(job)

/** @param {Job} one */
function start(one) {
  if (!existsSync(path.join(root, one.needs))) {
    console.error(`full: ${name} needs ${one.needs}, which is not in this checkout`)
    process.exit(1)
  }
  if (isRunning(progress())) {
    console.log(`already running: ${describe(one, progress())}`)
    return
  }
  if (values.restart) for (const file of [progressFile, logFile]) rmSync(file, { force: true })
  const log = openSync(logFile, 'a')
  const args = [fileURLToPath(import.meta.url), name, '--work']
  const child = spawn(process.execPath, args, { cwd: root, detached: true, stdio: ['ignore', log, log] })
  child.unref()
  console.log(`started ${name} as process ${child.pid}; progress in .full/${name}.log and with --status`)
}

function stop() {
  const state = progress()
  if (state.pid === null || !isRunning(state)) {
    console.log(`${name} is not running`)
    return
  }
  // The whole group: the unit at hand ends too.
  process.kill(-state.pid, 'SIGTERM')
  save({ ...progress(), pid: null })
  console.log(`stopped ${name}`)
}

/** @param {Job} one */
function work(one) {
  /** @type {Progress} */
  const state = { ...progress(), pid: process.pid }
  save(state)
  say(describe(one, state))
  let saidMs = performance.now()
  while (state.done < one.units) {
    const startedMs = performance.now()
    const { status, signal, stdout, stderr } = spawnSync(process.execPath, one.args(state.done), {
      cwd: root,
      encoding: 'utf8',
    })
    if (signal !== null) break
    if (status !== 0) {
      state.failed.push(state.done)
      say(`unit ${state.done} failed (node ${one.args(state.done).join(' ')}):\n${stdout}${stderr}`)
    }
    state.done++
    state.workedMs += performance.now() - startedMs
    save(state)
    if (performance.now() - saidMs >= LINE_EVERY_MS) {
      say(describe(one, state))
      saidMs = performance.now()
    }
  }
  state.pid = null
  save(state)
  say(describe(one, state))
  process.exitCode = state.failed.length === 0 ? 0 : 1
}

/** @returns {Progress} */
function progress() {
  if (!existsSync(progressFile)) return { done: 0, failed: [], pid: null, workedMs: 0 }
  return JSON.parse(readFileSync(progressFile, 'utf8'))
}

/** @param {Progress} state */
function save(state) {
  writeFileSync(`${progressFile}.tmp`, JSON.stringify(state))
  renameSync(`${progressFile}.tmp`, progressFile)
}

/** @param {Job} one @param {Progress} state */
function describe(one, state) {
  const minutes = (/** @type {number} */ ms) => `${(ms / 60_000).toFixed(1)} min`
  const left = state.done === 0 ? 'unknown' : minutes((state.workedMs / state.done) * (one.units - state.done))
  const condition = state.done >= one.units ? 'finished' : isRunning(state) ? `running, ${left} left` : 'stopped'
  const failed =
    state.failed.length === 0 ? '0 failed' : `${state.failed.length} failed (units ${state.failed.join(', ')})`
  return `${name}: ${state.done} of ${one.units} units, ${failed}, ${minutes(state.workedMs)}, ${condition}`
}

/** @param {Progress} state */
function isRunning({ pid }) {
  if (pid === null) return false
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** @param {string} text */
function say(text) {
  appendFileSync(logFile, `${new Date().toISOString()} ${text}\n`)
}
