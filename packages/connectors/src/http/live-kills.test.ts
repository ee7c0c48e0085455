import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Client, client, post } from '../../test/live.ts'

const KILLS = Number(process.env.MILLRACE_KILLS ?? 5)
const runner = fileURLToPath(new URL('../../test/live-process.ts', import.meta.url))

let folder: string
let child: ChildProcess | undefined
let stderr = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-live-kills-'))
})
afterEach(async () => {
  await kill()
  rmSync(folder, { recursive: true, force: true })
})

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}

async function kill(): Promise<void> {
  const victim = child
  child = undefined
  if (victim === undefined || victim.exitCode !== null) return
  const ended = new Promise((resolve) => victim.once('exit', resolve))
  victim.kill('SIGKILL')
  await ended
}

const ids = (name: string): number[] =>
  readFileSync(join(folder, name), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => (JSON.parse(line) as { id: number }).id)

test(`what was acknowledged survives ${KILLS} kills; a request with a key is there once`, {
  timeout: 60_000 + KILLS * 8000,
}, async () => {
  const [httpPort, webSocketPort] = [await freePort(), await freePort()]
  const start = (): void => {
    child = spawn(process.execPath, [
      '--conditions=millrace-source',
      runner,
      folder,
      String(httpPort),
      String(webSocketPort),
    ])
    child.stderr?.on('data', (chunk) => {
      stderr += chunk
    })
  }
  let isOver = false
  const acked = { http: new Set<number>(), websocket: new Set<number>() }

  // Sends a request under its key until it is acknowledged.
  const overHttp = async (first: number): Promise<void> => {
    for (let id = first; !isOver; id += 1000) {
      const rows = Array.from({ length: 20 }, (_, i) => ({ id: id * 20 + i }))
      for (let done = false; !done; ) {
        const key = { 'idempotency-key': `request ${id}` }
        done = await post(`http://127.0.0.1:${httpPort}`, rows, key).then(
          (a) => a.status === 200,
          () => false,
        )
        if (!done) await sleep(20)
      }
      for (const row of rows) acked.http.add(row.id)
    }
  }

  // Sends again whatever was not acknowledged when the connection was lost.
  const overWebSocket = async (): Promise<void> => {
    let next = 0
    const open = new Set<number>()
    while (!isOver || open.size > 0) {
      let one: Client
      try {
        one = await client(`ws://127.0.0.1:${webSocketPort}`)
      } catch {
        await sleep(20)
        continue
      }
      one.socket.on('error', () => {})
      one.socket.on('message', (data) => {
        for (const id of (JSON.parse(String(data)) as { ack: number[] }).ack) {
          acked.websocket.add(id)
          open.delete(id)
        }
      })
      for (const id of open) one.send({ id })
      while (one.socket.readyState === one.socket.OPEN && (!isOver || open.size > 0)) {
        for (let i = 0; i < 10 && open.size < 200 && !isOver; i++) {
          open.add(next)
          one.send({ id: next++ })
        }
        await sleep(2)
      }
      one.socket.terminate()
    }
  }

  start()
  const senders = [overHttp(0), overHttp(1), overHttp(2), overWebSocket()]
  for (let kills = 0; kills < KILLS; kills++) {
    const before = [acked.http.size, acked.websocket.size]
    for (const until = Date.now() + 20_000; Date.now() < until; await sleep(5))
      if (acked.http.size > before[0] + 100 && acked.websocket.size > before[1] + 100) break
    await sleep(Math.random() * 100)
    await kill()
    start()
  }
  isOver = true
  await Promise.all(senders)
  // The files show what is committed; an acknowledgement comes after that.
  const [http, websocket] = [ids('http.jsonl'), ids('websocket.jsonl')]
  expect(stderr).toBe('')
  expect(acked.http.size).toBeGreaterThan(100 * KILLS)
  expect(acked.websocket.size).toBeGreaterThan(100 * KILLS)
  expect([...acked.http].filter((id) => !http.includes(id))).toEqual([])
  expect(http.length).toBe(new Set(http).size)
  const seen = new Set(websocket)
  expect([...acked.websocket].filter((id) => !seen.has(id))).toEqual([])
})
