/** For the hostile tests: a process that opens many connections and misbehaves on each, until it is killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'

/** What each connection sends after it is open, and then nothing more. */
export interface Crowd {
  readonly url: string
  readonly count: number
  readonly says: string
}

/** Connections per process: fewer than the files a process may have open on any common machine. */
const PER_PROCESS = 2000
const here = fileURLToPath(import.meta.url)

/** Resolves when every connection was opened, whatever became of it since. */
export async function crowd({ url, count, says }: Crowd): Promise<{ close(): void }> {
  const children: ChildProcess[] = []
  const ready: Promise<void>[] = []
  for (let left = count; left > 0; left -= PER_PROCESS) {
    const child = spawn(process.execPath, [here, url, String(Math.min(left, PER_PROCESS)), says], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    children.push(child)
    ready.push(new Promise((resolve) => child.stdout?.once('data', () => resolve())))
  }
  await Promise.all(ready)
  return {
    close() {
      for (const child of children) child.kill('SIGKILL')
    },
  }
}

async function run(url: string, count: number, says: string): Promise<void> {
  const { hostname, port } = new URL(url)
  let opened = 0
  for (let i = 0; i < count; i++) {
    const socket = connect(Number(port), hostname, () => {
      socket.write(says.replaceAll('\\r\\n', '\r\n'))
      opened++
    })
    socket.on('error', () => opened++)
    socket.on('data', () => {})
    // The queue of connections that wait to be accepted is short.
    if (i % 100 === 99) while (opened < i - 100) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  while (opened < count) await new Promise((resolve) => setTimeout(resolve, 5))
  console.log('open')
}

if (process.argv[1] === here) await run(process.argv[2], Number(process.argv[3]), process.argv[4])
