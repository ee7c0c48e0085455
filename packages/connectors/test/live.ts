/** For the tests of the live connectors: runs a flow for real, tells where it listens, and stops it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Dataflow, JobEvent, RunOptions, RunReport } from 'millrace'
import { WebSocket } from 'ws'

export interface LiveRun {
  /** Where a step listens, e.g. `http://127.0.0.1:41234`. */
  url(step: string): Promise<string>
  readonly events: readonly JobEvent[]
  /** Ends the run after a commit. */
  stop(): Promise<RunReport>
  readonly done: Promise<RunReport>
}

/** Runs a flow with a state folder of its own, in this thread unless the options say otherwise. */
export function live(flow: Dataflow, options: RunOptions = {}): LiveRun {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-live-'))
  const stop = new AbortController()
  const events: JobEvent[] = []
  const listeners = new Set<() => void>()
  const done = flow
    .run({
      execution: 'inline',
      commitEvery: '20ms',
      state: join(folder, 'state'),
      ...options,
      signal: stop.signal,
      onEvent(event) {
        events.push(event)
        for (const listener of listeners) listener()
      },
    })
    .finally(() => rmSync(folder, { recursive: true, force: true }))
  done.catch(() => {})
  return {
    events,
    done,
    async url(step) {
      const look = (): string | undefined => {
        for (const event of events.toReversed())
          if (event.type === 'log' && event.step === step && typeof event.data?.url === 'string') return event.data.url
        return undefined
      }
      return new Promise((resolve, reject) => {
        const check = (): void => {
          const url = look()
          if (url === undefined) return
          listeners.delete(check)
          resolve(url)
        }
        listeners.add(check)
        check()
        done.then(() => reject(new Error('the run has ended')), reject)
      })
    },
    stop() {
      stop.abort()
      return done
    },
  }
}

export interface Answer {
  readonly status: number
  readonly body: {
    records?: number
    repeated?: boolean
    status?: string
    error?: { code: string; message: string; problems?: { line: number; code: string }[] }
  }
  readonly headers: Headers
}

/** Posts JSON, or a text as it is. */
export async function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const isRaw = typeof body === 'string' || body instanceof Uint8Array
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: isRaw ? (body as string) : JSON.stringify(body),
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? {} : JSON.parse(text), headers: response.headers }
}

export const NDJSON = { 'content-type': 'application/x-ndjson' }

/** A plain TCP connection, for senders that misbehave. What it receives is gathered in `text`. */
export function rawSocket(url: string): Promise<Socket & { text: () => string; gone: Promise<void> }> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    let text = ''
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.once('error', reject)
    const gone = new Promise<void>((over) => socket.once('close', () => over()))
    socket.once('connect', () => {
      socket.on('error', () => {})
      resolve(Object.assign(socket, { text: () => text, gone }))
    })
  })
}

export interface Client {
  readonly socket: WebSocket
  readonly messages: unknown[]
  /** Code with which the connection was closed. */
  readonly closed: Promise<number>
  /** Resolves when `test` holds for what has come so far. */
  until(test: (messages: unknown[]) => boolean): Promise<void>
  send(value: unknown): void
}

export function client(url: string, options: { readonly headers?: Record<string, string> } = {}): Promise<Client> {
  const socket = new WebSocket(url, options)
  const messages: unknown[] = []
  const listeners = new Set<() => void>()
  socket.on('message', (data) => {
    messages.push(JSON.parse(String(data)))
    for (const listener of listeners) listener()
  })
  const closed = new Promise<number>((resolve) => socket.once('close', (code) => resolve(code)))
  const made: Client = {
    socket,
    messages,
    closed,
    until: (test) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (!test(messages)) return
          listeners.delete(look)
          resolve()
        }
        listeners.add(look)
        look()
        void closed.then((code) => reject(new Error(`closed (${code}) after ${JSON.stringify(messages.slice(-3))}`)))
      }),
    send: (value) => socket.send(typeof value === 'string' ? value : JSON.stringify(value)),
  }
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve(made))
    socket.once('error', reject)
  })
}

/** Resolves when `test` holds; looks every 5 ms. */
export async function eventually(test: () => boolean, whatMs = 20_000): Promise<void> {
  for (const until = Date.now() + whatMs; !test(); ) {
    if (Date.now() > until) throw new Error(`not within ${whatMs} ms: ${test}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
