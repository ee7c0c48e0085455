/** Gateway, nodes and peers as processes of their own, which say in one line that they are ready. */
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

export interface Process {
  readonly pid: number
  /** What it said when it was ready. */
  readonly ready: string
  /** Asks it to end, so that it can write a profile, and waits until it has. */
  stop(): Promise<void>
  /** kill -9. */
  kill(): void
}

const READY_MS = 60_000
const STOP_MS = 5_000

/** Starts a process. @throws Error with what it wrote, when it is not ready in time */
export async function start(command: string, args: readonly string[], isReady = /^READY ?(.*)$/): Promise<Process> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let written = ''
  child.stderr.on('data', (text) => {
    written = `${written}${text}`.slice(-10_000)
  })
  const ready = await new Promise<string>((resolve, reject) => {
    const failed = (why: string): void => reject(new Error(`${command} ${args.join(' ')} ${why}:\n${written}`))
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      failed('was not ready in time')
    }, READY_MS)
    child.once('error', (error) => failed(error.message))
    child.once('exit', (code) => failed(`ended with ${code}`))
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        const match = isReady.exec(line)
        if (match === null) return
        clearTimeout(timer)
        resolve(match[1] ?? '')
      })
    }
  })
  child.removeAllListeners('exit')
  return { pid: child.pid as number, ready, stop: () => stop(child), kill: () => void child.kill('SIGKILL') }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await ended
  clearTimeout(timer)
}

/** Resident memory of a process of this machine, MiB. NaN where the system does not tell. */
export function residentMib(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
  } catch {
    return Number.NaN
  }
}

/** Linux counts CPU time in ticks of 10 ms. */
const TICK_MS = 10

/** User and system time of a process of this machine, over all of its threads. NaN where the system does not tell. */
export function cpuMs(pid: number): number {
  try {
    // Behind the name, which may hold spaces: the 14th and 15th field of all.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS
  } catch {
    return Number.NaN
  }
}
