/** EasyRemote: its gateway, node and client, each a process of its own, in Python. */
import { spawn } from 'node:child_process'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Process, start } from '../processes.ts'
import { freePort } from '../stack.ts'
import type { PeerCase } from './peer-case.ts'

export interface EasyRemoteOptions {
  /** The virtual environment. */
  readonly folder: string
  readonly callers: number
  readonly ms: number
  readonly items: number
  readonly fn: string
  /** How long an error after the loss of a node is waited for. */
  readonly limitS: number
}

export async function measureEasyRemote(what: PeerCase, { folder, ...options }: EasyRemoteOptions): Promise<unknown> {
  const python = join(folder, 'bin', 'python')
  const port = String(await freePort())
  const gateway = await start(python, [program('gateway'), port])
  let node: Process | undefined
  try {
    await listens(Number(port))
    node = await start(python, [program('node'), port])
    const given = JSON.stringify({ ...options, nodePid: node.pid })
    return await run(python, [program('client'), what, port, given])
  } finally {
    node?.kill()
    gateway.kill()
  }
}

function program(role: string): string {
  return fileURLToPath(new URL(`easyremote_${role}.py`, import.meta.url))
}

const LISTEN_MS = 15_000
const LISTEN_STEP_MS = 50

async function listens(port: number): Promise<void> {
  for (let waitedMs = 0; waitedMs < LISTEN_MS; waitedMs += LISTEN_STEP_MS) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = createConnection(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (isOpen) return
    await new Promise((resolve) => setTimeout(resolve, LISTEN_STEP_MS))
  }
  throw new Error('the gateway of EasyRemote did not start')
}

/** The line of JSON among what it logs. */
async function run(command: string, args: readonly string[]): Promise<unknown> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let errors = ''
  child.stdout.on('data', (text) => {
    out += text
  })
  child.stderr.on('data', (text) => {
    errors = `${errors}${text}`.slice(-10_000)
  })
  await new Promise((resolve) => child.once('close', resolve))
  const line = out.split('\n').find((each) => each.startsWith('{'))
  if (line === undefined) throw new Error(`EasyRemote's client gave no result:\n${errors}`)
  return JSON.parse(line)
}
