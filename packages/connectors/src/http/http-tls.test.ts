import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dataflow } from 'millrace'
import { arraySink } from 'millrace/testing'
import { afterEach, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { type LiveRun, live, rawSocket } from '../../test/live.ts'
import { webSocketIngest } from '../websocket/index.ts'
import { httpIngest } from './index.ts'

let run: LiveRun | undefined
afterEach(async () => {
  await run?.stop()
  run = undefined
})

/** A certificate for 127.0.0.1, made for this run. */
function certificate(): { key: Buffer; cert: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-tls-'))
  const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
  const made = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert, ...subject]
  execFileSync('openssl', ['req', ...made], { stdio: 'pipe' })
  const files = { key: readFileSync(key), cert: readFileSync(cert) }
  rmSync(folder, { recursive: true, force: true })
  return files
}

test('records come over TLS; whoever does not speak it harms nobody, and busy connections stay', async () => {
  const tls = certificate()
  const rows: unknown[] = []
  const flow = dataflow('tls')
  flow
    .source('http', httpIngest({ port: 0, tls, maxConnections: 2 }), { time: 'processing' })
    .sink('out', arraySink(rows))
  const seen: unknown[] = []
  flow
    .source('websocket', webSocketIngest<{ n: number }>({ port: 0, tls, ackId: (r) => r.n }), { time: 'processing' })
    .sink('seen', arraySink(seen))
  run = live(flow)
  const url = await run.url('http')
  expect(url).toMatch(/^https:/)

  // Begins a request and keeps it open while others come and go.
  const busy = request(url, { method: 'POST', ca: tls.cert, headers: { 'content-type': 'application/json' } })
  const answered = new Promise<number>((resolve, reject) => {
    busy.once('response', (response) => resolve(response.resume().statusCode ?? 0))
    busy.once('error', reject)
  })
  busy.write('{"n":')
  await new Promise((resolve) => setTimeout(resolve, 100))
  for (let i = 0; i < 3; i++) {
    const plain = await rawSocket(url)
    plain.write('GET / HTTP/1.1\r\n\r\n')
    await plain.gone
  }
  for (let i = 0; i < 3; i++) await rawSocket(url)
  busy.end('1}')
  expect(await answered).toBe(200)
  expect(rows).toEqual([{ n: 1 }])

  const socket = new WebSocket(await run.url('websocket'), { ca: tls.cert })
  await new Promise((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  const ack = new Promise((resolve) => socket.once('message', (data) => resolve(String(data))))
  socket.send('{"n":7}')
  expect(await ack).toBe('{"ack":[7]}')
  socket.close()
})
