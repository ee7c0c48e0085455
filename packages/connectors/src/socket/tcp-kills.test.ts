import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { eventually } from '../../test/live.ts'

const KILLS = Number(process.env.MILLRACE_KILLS ?? 5)
const SENDERS = 3
/** A sender keeps at most this many lines without an acknowledgement. */
const WINDOW = 200
const runner = fileURLToPath(new URL('../../test/socket-process.ts', import.meta.url))

let folder: string
let child: ChildProcess | undefined
let stderr = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-socket-kills-'))
})
afterEach(async () => {
  await kill()
  rmSync(folder, { recursive: true, force: true })
})

async function kill(): Promise<void> {
  const victim = child
  child = undefined
  if (victim === undefined || victim.exitCode !== null) return
  const ended = new Promise((resolve) => victim.once('exit', resolve))
  victim.kill('SIGKILL')
  await ended
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** Sends lines over as many connections as it takes; what is not acknowledged goes again on the next one. */
class Sender {
  acknowledged = 0
  isOver = false
  readonly #s: number
  readonly #port: number

  constructor(s: number, port: number) {
    this.#s = s
    this.#port = port
  }

  async run(): Promise<void> {
    while (!this.isOver) {
      await this.#once()
      await sleep(10)
    }
  }

  #once(): Promise<void> {
    const first = this.acknowledged
    let next = first
    const socket = connect(this.#port, '127.0.0.1')
    socket.on('error', () => {})
    const send = (): void => {
      if (this.isOver && this.acknowledged === next) socket.end()
      for (; !this.isOver && next < this.acknowledged + WINDOW; next++) socket.write(`{"s":${this.#s},"n":${next}}\n`)
    }
    socket.on('connect', send)
    socket.on('data', (chunk) => {
      this.acknowledged = first + Number(String(chunk).trim().split('\n').at(-1))
      setTimeout(send, 5)
    })
    return new Promise((resolve) => socket.once('close', () => resolve()))
  }
}

test(`what a server has acknowledged is in the file after ${KILLS} kills, in threads`, {
  timeout: 60_000 + KILLS * 8000,
}, async () => {
  const port = await freePort()
  const start = (): void => {
    child = spawn(process.execPath, ['--conditions=millrace-source', runner], {
      env: { ...process.env, MILLRACE_TEST_PORT: String(port), MILLRACE_TEST_FOLDER: folder },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    child.stderr?.on('data', (chunk) => {
      stderr += chunk
    })
  }
  const senders = Array.from({ length: SENDERS }, (_, s) => new Sender(s, port))
  const running = senders.map((sender) => sender.run())
  start()
  for (let kills = 0; kills < KILLS; kills++) {
    const before = senders.map((sender) => sender.acknowledged)
    await eventually(() => senders.every((sender, s) => sender.acknowledged > before[s])).catch((error: Error) => {
      throw new Error(`${error.message}\n${stderr}`)
    })
    await sleep(Math.random() * 60)
    await kill()
    start()
  }
  const before = senders.map((sender) => sender.acknowledged)
  await eventually(() => senders.every((sender, s) => sender.acknowledged > before[s]))
  for (const sender of senders) sender.isOver = true
  await kill()
  await Promise.all(running)

  const rows = readFileSync(join(folder, 'lines.jsonl'), 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as { s: number; n: number })
  for (const [s, { acknowledged }] of senders.entries()) {
    const got = new Set(rows.filter((row) => row.s === s).map((row) => row.n))
    const missing = Array.from({ length: acknowledged }, (_, n) => n).filter((n) => !got.has(n))
    expect(missing).toEqual([])
  }
  expect(rows.length).toBeGreaterThan(KILLS * SENDERS)
})
