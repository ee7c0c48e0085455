// Long jobs in the background, one unit after another, which go on where they stopped:
//
//   npm run full                      lists them
//   npm run full -- NAME              starts or continues
//   npm run full -- NAME --status     how far it is
//   npm run full -- NAME --stop       stops; the unit at hand is done again later
//   npm run full -- NAME --restart    from the first unit
//
// .full/NAME.json holds the progress, written after each unit; .full/NAME.log has a line a minute and the output of
// the units that failed. Once all are done, bench/evidence/NAME.json says what was run, where, and what came out.
//
// A unit leaves nothing behind that the next one needs, so stopping is killing: the worker leads a process group with
// the unit and its children in it.

import { spawn } from 'node:child_process'
import { mkdirSync, openSync, rmSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { countVersion, describe, evidence, isRunning, load, noProgress, save, seedsOf } from './lib/job-progress.mjs'
import { withLock } from './lib/lock.mjs'
import { root } from './lib/paths.mjs'
import { startOf } from './lib/process.mjs'

/** @typedef {import('./lib/jobs.mjs').Job} Job */

/** Tests put their own table of jobs, progress and evidence into a folder. */
const testFolder = process.env.MILLRACE_FULL_TEST
const table = testFolder === undefined ? './lib/jobs.mjs' : pathToFileURL(path.join(testFolder, 'jobs.mjs')).href
const folder = path.join(testFolder ?? root, '.full')
const evidenceFolder = path.join(testFolder ?? root, 'bench', 'evidence')
/** @type {Record<string, Job>} */
const jobs = (await import(table)).jobs

const LINE_EVERY_MS = 60_000
const PATIENCE_MS = 20_000
/** Of the output of a unit: enough to see why it failed. */
const OUTPUT_MAX = 200_000

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
const progressFile = path.join(folder, `${name}.json`)
const logFile = path.join(folder, `${name}.log`)
const scratch = path.join(folder, `${name}.tmp`)

if (job === undefined) list()
else if (values.work) await work(job)
else if (values.status) console.log(describe(name, job, load(progressFile)))
else await withLock(`full-${name}`, () => (values.stop ? stop() : start(job)), `starting or stopping ${name}`)

function list() {
  console.log('npm run full -- NAME [--status | --stop | --restart]')
  for (const [known, one] of Object.entries(jobs)) {
    console.log(`  ${known.padEnd(6)}${one.what}`)
    console.log(`        ${describe(known, one, load(path.join(folder, `${known}.json`)))}`)
  }
  if (name !== '') {
    console.error(`full: there is no job ${name}`)
    process.exitCode = 2
  }
}

/** @param {Job} one */
async function start(one) {
  const progress = load(progressFile)
  if (isRunning(progress)) {
    console.log(`already running: ${describe(name, one, progress)}`)
    if (values.restart) {
      console.error(`full: --restart would lose its progress. Stop it first: npm run full -- ${name} --stop`)
      process.exitCode = 1
    }
    return
  }
  await endGroup(progress)
  if (values.restart) for (const file of [progressFile, logFile]) rmSync(file, { force: true })
  else if (progress.done >= one.units) {
    console.log(`${describe(name, one, progress)}; again from the first unit with --restart`)
    process.exitCode = progress.failed.length === 0 ? 0 : 1
    return
  }
  mkdirSync(folder, { recursive: true })
  const log = openSync(logFile, 'a')
  const args = [fileURLToPath(import.meta.url), name, '--work']
  const child = spawn(process.execPath, args, { cwd: root, detached: true, stdio: ['ignore', log, log] })
  child.unref()
  // Whoever asks after this command has ended must find it running.
  for (let waitedMs = 0; load(progressFile).worker?.pid !== child.pid; waitedMs += 50) {
    if (child.exitCode !== null || child.signalCode !== null || waitedMs > PATIENCE_MS) {
      console.error(`full: ${name} did not start; see ${path.relative(root, logFile)}`)
      process.exitCode = 1
      return
    }
    await sleep(50)
  }
  console.log(`started ${name} as process ${child.pid}; progress in ${path.relative(root, logFile)} and with --status`)
}

async function stop() {
  const progress = load(progressFile)
  const wasRunning = isRunning(progress)
  await endGroup(progress)
  console.log(wasRunning ? `stopped ${name}` : `${name} is not running`)
}

/**
 * Ends the worker with all it started. When the worker itself died, its unit may have lived on.
 * @param {import('./lib/job-progress.mjs').Progress} progress
 */
async function endGroup({ worker }) {
  if (worker === null) return
  const now = startOf(worker.pid)
  // Another start: the number belongs to somebody else by now, so the group is gone too.
  if (now === null || now === worker.start) {
    try {
      process.kill(-worker.pid, 'SIGKILL')
    } catch (error) {
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ESRCH') throw error
    }
  }
  for (let waitedMs = 0; startOf(worker.pid) === worker.start; waitedMs += 50) {
    if (waitedMs > PATIENCE_MS) throw new Error(`full: process ${worker.pid} survives SIGKILL`)
    await sleep(50)
  }
  rmSync(scratch, { recursive: true, force: true })
  save(progressFile, { ...load(progressFile), worker: null })
}

/** @param {Job} one */
async function work(one) {
  const progress = { ...noProgress(), ...load(progressFile) }
  progress.worker = { pid: process.pid, start: startOf(process.pid) ?? '' }
  progress.startedAt ??= new Date().toISOString()
  save(progressFile, progress)
  say(describe(name, one, progress))
  while (progress.done < one.units) {
    const { from, to } = seedsOf(one, progress.done)
    const startedMs = performance.now()
    const line = setInterval(() => {
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(0)
      say(`${describe(name, one, progress)}; seeds ${from} to ${to} for ${seconds} s`)
    }, one.lineEveryMs ?? LINE_EVERY_MS)
    const { why, counts, output } = await runUnit(one, from)
    clearInterval(line)
    for (const [key, count] of Object.entries(counts)) {
      const before = progress.counts[key] ?? 0
      progress.counts[key] = one.highest?.includes(key) ? Math.max(before, count) : before + count
    }
    if (why !== null) {
      progress.failed.push({ seeds: { from, to }, why })
      say(`seeds ${from} to ${to} failed, ${why} (node ${one.args(from).join(' ')}):\n${output}`)
    }
    progress.done++
    progress.workedMs += performance.now() - startedMs
    countVersion(progress.versions)
    // Before the progress says that all is done: whoever sees that finds it.
    if (progress.done === one.units) save(path.join(evidenceFolder, `${name}.json`), evidence(name, one, progress))
    save(progressFile, progress)
  }
  progress.worker = null
  save(progressFile, progress)
  say(describe(name, one, progress))
}

/** @param {Job} one @param {number} firstSeed */
async function runUnit(one, firstSeed) {
  rmSync(scratch, { recursive: true, force: true })
  mkdirSync(scratch, { recursive: true })
  const child = spawn(process.execPath, one.args(firstSeed), {
    cwd: testFolder ?? root,
    stdio: ['ignore', 'pipe', 'pipe'],
    // What a unit that is killed leaves in its temporary folder is cleared with it.
    env: { ...process.env, TMPDIR: scratch },
  })
  let stdout = ''
  let output = ''
  child.stdout.on('data', (chunk) => {
    stdout = (stdout + chunk).slice(-OUTPUT_MAX)
    output = (output + chunk).slice(-OUTPUT_MAX)
  })
  child.stderr.on('data', (chunk) => {
    output = (output + chunk).slice(-OUTPUT_MAX)
  })
  let isTooLong = false
  const limit = setTimeout(() => {
    isTooLong = true
    child.kill('SIGKILL')
    // Its own children may hold these; they are finite, and the next unit does not wait for them.
    child.stdout.destroy()
    child.stderr.destroy()
  }, one.unitLimitMs)
  const [code, signal] = await new Promise((resolve) => child.once('close', (...end) => resolve(end)))
  clearTimeout(limit)
  rmSync(scratch, { recursive: true, force: true })
  const counts = countsOf(one, stdout)
  const why = isTooLong
    ? `not done after ${one.unitLimitMs} ms`
    : signal !== null
      ? `ended by ${signal}`
      : code !== 0
        ? `exit code ${code}`
        : counts === null
          ? 'printed no result'
          : null
  return { why, counts: counts ?? {}, output }
}

/** @param {Job} one @param {string} stdout */
function countsOf(one, stdout) {
  try {
    return one.counts(stdout)
  } catch {
    return null
  }
}

/** @param {string} text into the log, which is this process's standard output */
function say(text) {
  console.log(`${new Date().toISOString()} ${text}`)
}
