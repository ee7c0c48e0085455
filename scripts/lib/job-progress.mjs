// What is known about a long job: a file written after each unit, a line for people, and the evidence it leaves.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { arch, cpus, platform, release, totalmem } from 'node:os'
import path from 'node:path'
import { root } from './paths.mjs'
import { startOf } from './process.mjs'

/**
 * @typedef {import('./jobs.mjs').Job} Job
 *
 * @typedef {object} Progress
 * @property {number} done units
 * @property {{ seeds: Range, why: string }[]} failed
 * @property {Record<string, number>} counts over all units
 * @property {Version[]} versions that units ran with; a job that goes on after a change has several
 * @property {number} workedMs
 * @property {string | null} startedAt
 * @property {{ pid: number, start: string } | null} worker leader of a process group; null when none is known to run
 *
 * @typedef {{ from: number, to: number }} Range both ends included
 * @typedef {{ commit: string, node: string, units: number }} Version
 */

/** @returns {Progress} */
export function noProgress() {
  return { done: 0, failed: [], counts: {}, versions: [], workedMs: 0, startedAt: null, worker: null }
}

/** @param {string} file @returns {Progress} */
export function load(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : noProgress()
}

/** @param {string} file @param {unknown} content */
export function save(file, content) {
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(`${file}.tmp`, `${JSON.stringify(content, null, 2)}\n`)
  renameSync(`${file}.tmp`, file)
}

/** @param {Job} job @param {number} unit from 0 @returns {Range} */
export function seedsOf({ seedsPerUnit }, unit) {
  return { from: unit * seedsPerUnit + 1, to: (unit + 1) * seedsPerUnit }
}

/** @param {Progress} progress */
export function isRunning({ worker }) {
  return worker !== null && startOf(worker.pid) === worker.start
}

/** @param {string} name @param {Job} job @param {Progress} progress */
export function describe(name, job, progress) {
  const { done, failed, workedMs, versions } = progress
  const left = done === 0 ? 'time unknown' : `${minutes((workedMs / done) * (job.units - done))} left`
  const condition =
    done >= job.units
      ? 'finished'
      : isRunning(progress)
        ? `running, ${left}`
        : progress.startedAt === null
          ? 'not started'
          : `stopped, ${left}`
  const mixed = versions.length > 1 ? `, with ${versions.length} versions of code or Node` : ''
  const seeds = failed.map(({ seeds: { from, to } }) => (from === to ? `${from}` : `${from}-${to}`))
  const failures = failed.length === 0 ? '0 failed' : `${failed.length} FAILED (seeds ${seeds.join(', ')})`
  return `${name}: ${done} of ${job.units} units, ${failures}, ${minutes(workedMs)}${mixed}, ${condition}`
}

/** @param {number} ms */
function minutes(ms) {
  return `${(ms / 60_000).toFixed(1)} min`
}

/**
 * Written once every unit is done.
 * @param {string} name @param {Job} job @param {Progress} progress
 */
export function evidence(name, job, { failed, counts, versions, workedMs, startedAt }) {
  return {
    job: name,
    what: job.what,
    seeds: { from: 1, to: job.units * job.seedsPerUnit },
    units: { passed: job.units - failed.length, failed: failed.length },
    failed,
    counts,
    wallMinutes: Math.round(workedMs / 6_000) / 10,
    startedAt,
    finishedAt: new Date().toISOString(),
    machine: machineLine(),
    versions,
  }
}

function machineLine() {
  const processors = cpus()
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB memory`
  return `${processors[0]?.model.trim() ?? 'unknown'}, ${processors.length} cores, ${memory}, ${platform()} ${release()} ${arch()}`
}

/** Counts a unit to the code and Node it ran with. @param {Version[]} versions */
export function countVersion(versions) {
  const commit = commitNow()
  const node = process.version
  const known = versions.find((one) => one.commit === commit && one.node === node)
  if (known === undefined) versions.push({ commit, node, units: 1 })
  else known.units++
}

/** `+changes` marks a checkout whose code differs from its commit. */
function commitNow() {
  const git = (/** @type {string[]} */ ...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' }).stdout.trim()
  const changes = git('status', '--porcelain', '--', 'packages', 'simulation', 'package-lock.json')
  return git('rev-parse', 'HEAD') + (changes === '' ? '' : '+changes')
}
