// Tells a process from a later one that got its number.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/**
 * @param {number} pid
 * @returns {string | null} when it started, in whatever unit the system counts; null when it ended, also when nobody
 * has collected it yet (a zombie, which a signal 0 takes for alive)
 */
export function startOf(pid) {
  return process.platform === 'linux' ? startInProc(pid) : startByPs(pid)
}

/** @param {number} pid */
function startInProc(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name may hold spaces and brackets; the fields after it do not. See proc(5): 3 is the state, 22 the start.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? null : fields[19]
  } catch {
    return null
  }
}

/** @param {number} pid */
function startByPs(pid) {
  const { status, stdout, error } = spawnSync('ps', ['-o', 'stat=,lstart=', '-p', `${pid}`], { encoding: 'utf8' })
  if (error !== undefined) return startBySignal(pid)
  const [state = '', ...start] = stdout.trim().split(/\s+/)
  return status !== 0 || state.startsWith('Z') ? null : start.join(' ')
}

/** Without ps (Windows) a number is all we know. @param {number} pid */
function startBySignal(pid) {
  try {
    process.kill(pid, 0)
    return 'unknown'
  } catch (error) {
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM' ? 'unknown' : null
  }
}
