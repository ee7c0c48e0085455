// A lock between processes of one machine: a file in .node/ that names the process holding it.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { toolFolder } from './paths.mjs'
import { startOf } from './process.mjs'

const POLL_MS = 200
const PATIENCE_MS = 15 * 60_000

/**
 * @param {string} name
 * @param {() => unknown} work runs while no other process holds the lock; a promise is waited for
 * @param {string} [doing] what the holder does, for whoever waits
 */
export async function withLock(name, work, doing = 'installing') {
  mkdirSync(toolFolder, { recursive: true })
  const file = path.join(toolFolder, `${name}.lock`)
  for (let waitedMs = 0; !take(file); waitedMs += POLL_MS) {
    if (waitedMs === 0) console.error(`millrace: waiting for ${describe(holder(file))}, which is ${doing}`)
    if (waitedMs > PATIENCE_MS)
      throw new Error(
        `still locked after ${PATIENCE_MS / 60_000} minutes by ${describe(holder(file))}. If it is not ${doing}, delete ${file}.`,
      )
    await sleep(POLL_MS)
  }
  try {
    await work()
  } finally {
    rmSync(file, { force: true })
  }
}

/** @param {string} file */
function take(file) {
  try {
    writeFileSync(file, `${process.pid}\n`, { flag: 'wx' })
    return true
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EEXIST') throw error
  }
  const pid = holder(file)
  if (pid !== null && startOf(pid) === null) removeDead(file, pid)
  return false
}

/**
 * Two waiters may see the same dead holder. The rename lets only one of them take the file away, and if that was
 * already a successor's lock, it is put back.
 * @param {string} file @param {number} dead
 */
function removeDead(file, dead) {
  const aside = `${file}.${process.pid}`
  try {
    renameSync(file, aside)
    if (holder(aside) !== dead) renameSync(aside, file)
    else rmSync(aside, { force: true })
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'ENOENT') throw error
  }
}

/** @param {string} file @returns {number | null} null when the lock was released meanwhile or is being written */
function holder(file) {
  try {
    return Number(readFileSync(file, 'utf8')) || null
  } catch {
    return null
  }
}

/** @param {number | null} pid */
function describe(pid) {
  return pid === null ? 'another process' : `process ${pid}`
}
