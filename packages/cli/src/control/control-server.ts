/**
 * The listening end inside `millrace run`: one JSON request per connection, answered by JSON lines. Only processes of
 * the same user reach it: it is a socket file with mode 600, not a port.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import type { ObserveMessage } from 'millrace/observe'
import { newEndpoint, removeControlFile, writeControlFile } from './control-file.ts'

export type ControlRequest = { readonly type: 'stop'; readonly savepoint?: string } | { readonly type: 'snapshot' }

export type ControlReply =
  | { readonly type: 'snapshot'; readonly messages: readonly ObserveMessage[] }
  | { readonly type: 'accepted' }
  | { readonly type: 'stopped'; readonly outcome: 'finished' | 'stopped'; readonly lastEpoch: number }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }

export interface ControlHandlers {
  snapshot(): readonly ObserveMessage[]
  /** Resolves when everything is committed. */
  stop(savepoint: string | undefined): Promise<{ readonly outcome: 'finished' | 'stopped'; readonly lastEpoch: number }>
}

/** A request is a line; longer ones are not ours. */
const REQUEST_BYTES_MAX = 4096

export class ControlServer {
  readonly #server: Server
  readonly #folder: string
  readonly #endpoint: string
  readonly #sockets = new Set<Socket>()
  readonly #answers = new Set<Promise<void>>()

  private constructor(server: Server, folder: string, endpoint: string) {
    this.#server = server
    this.#folder = folder
    this.#endpoint = endpoint
  }

  /** Listens and writes the control file. Call it when the flow's lock is held: leftovers are then nobody's. */
  static async start(options: {
    readonly folder: string
    readonly flow: string
    readonly http: string | null
    readonly handlers: ControlHandlers
  }): Promise<ControlServer> {
    const { folder, flow, http, handlers } = options
    const endpoint = newEndpoint(folder)
    if (process.platform !== 'win32') rmSync(endpoint, { force: true })
    const server = createServer((socket) => control.#serve(socket, handlers))
    const control = new ControlServer(server, folder, endpoint)
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(endpoint, resolve)
    })
    if (process.platform !== 'win32') chmodSync(endpoint, 0o600)
    writeControlFile(folder, { flow, pid: process.pid, endpoint, startedAt: Date.now(), http })
    return control
  }

  /** Lets answers that are under way leave, then closes. */
  async close(): Promise<void> {
    removeControlFile(this.#folder, this.#endpoint)
    await Promise.all(this.#answers)
    for (const socket of this.#sockets) socket.end()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  #serve(socket: Socket, handlers: ControlHandlers): void {
    this.#sockets.add(socket)
    let text = ''
    socket.setEncoding('utf8')
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: string) => {
      text += chunk
      const end = text.indexOf('\n')
      if (end < 0) {
        if (text.length > REQUEST_BYTES_MAX) socket.destroy()
        return
      }
      const line = text.slice(0, end)
      text = ''
      const answered = answer(line, handlers, (reply) => void socket.write(`${JSON.stringify(reply)}\n`))
      this.#answers.add(answered)
      answered.finally(() => {
        this.#answers.delete(answered)
        socket.end()
      })
    })
  }
}

async function answer(line: string, handlers: ControlHandlers, reply: (r: ControlReply) => void): Promise<void> {
  try {
    const request = JSON.parse(line) as ControlRequest
    if (request.type === 'snapshot') return reply({ type: 'snapshot', messages: handlers.snapshot() })
    if (request.type !== 'stop')
      return reply({ type: 'failed', code: 'CONTROL', message: 'this process does not know the request.' })
    reply({ type: 'accepted' })
    reply({ type: 'stopped', ...(await handlers.stop(request.savepoint)) })
  } catch (error) {
    const code = (error as { code?: unknown }).code
    reply({
      type: 'failed',
      code: typeof code === 'string' ? code : 'INTERNAL',
      message: error instanceof Error ? error.message : String(error),
    })
  }
}
