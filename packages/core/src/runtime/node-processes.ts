/**
 * The real Processes port. The identity of a process is its boot and start time where /proc has them (Linux).
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import type { Processes } from './ports.ts'

export const nodeProcesses: Processes = {
  pid: process.pid,
  host: hostname(),
  isAlive(pid) {
    try {
      process.kill(pid, 0)
      return true
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EPERM'
    }
  },
  identity(pid) {
    try {
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
      // Field 22 of stat, counted after the command name, which may itself hold spaces and parentheses.
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      return `${boot}-${stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]}`
    } catch {
      return undefined
    }
  },
}
