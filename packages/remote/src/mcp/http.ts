/**
 * MCP over streamable HTTP on `node:http`. Clients of 2025 have sessions, as progress, cancelling and changes of the list belong to
 * one; later ones send requests that stand alone.
 */
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import {
  createMcpHandler,
  hostHeaderValidationResponse,
  isLegacyRequest,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
  type Server,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server'
import { messageOf, OperationalError } from 'millrace/connector'
import type { ToolSet } from './tool-set.ts'

export interface HttpOptions {
  readonly port: number
  readonly tools: ToolSet
  readonly newServer: () => Server
  readonly sessionsMax: number
}

export interface McpHttp {
  /** `http://127.0.0.1:8090/mcp` */
  readonly url: string
  close(): Promise<void>
}

const HOST = '127.0.0.1'
const PATH = '/mcp'

/** Listens on this machine; pages of other sites and other names of this machine are refused. @throws OperationalError `MCP_PORT` */
export async function serveHttp({ port, tools, newServer, sessionsMax }: HttpOptions): Promise<McpHttp> {
  const modern = createMcpHandler(newServer, { legacy: 'reject' })
  const forget = tools.onChange(() => modern.notify.toolsChanged())
  const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>()

  const legacy = async (request: Request): Promise<Response> => {
    const id = request.headers.get('mcp-session-id')
    const known = id === null ? undefined : sessions.get(id)
    if (known !== undefined) return known.handleRequest(request)
    if (id !== null) return refusal(404, 'there is no such session; begin a new one.')
    if (sessions.size >= sessionsMax) return refusal(503, `there are ${sessionsMax} sessions, as many as may be.`)
    const transport: WebStandardStreamableHTTPServerTransport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (session) => void sessions.set(session, transport),
    })
    const server = newServer()
    const closed = server.onclose
    server.onclose = () => {
      if (transport.sessionId !== undefined) sessions.delete(transport.sessionId)
      closed?.()
    }
    await server.connect(transport)
    return transport.handleRequest(request)
  }

  const answer = async (request: Request): Promise<Response> => {
    if (new URL(request.url).pathname !== PATH) return refusal(404, `MCP is at ${PATH}.`)
    const refused =
      hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
      originValidationResponse(request, localhostAllowedOrigins())
    if (refused !== undefined) return refused
    return (await isLegacyRequest(request)) ? legacy(request) : modern.fetch(request)
  }

  const http = createServer((request, response) => {
    respond(request, response, answer).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500)
      response.end(messageOf(error))
    })
  })
  await new Promise<void>((resolve, reject) => {
    http.once('error', (cause: NodeJS.ErrnoException) => {
      const why = cause.code === 'EADDRINUSE' ? 'the port is taken' : cause.message
      reject(
        new OperationalError(
          'MCP_PORT',
          `MCP cannot listen on ${HOST}:${port}: ${why}. Choose another port, or 0 for any free one.`,
          {
            cause,
          },
        ),
      )
    })
    http.listen(port, HOST, resolve)
  })
  return {
    url: `http://${HOST}:${(http.address() as AddressInfo).port}${PATH}`,
    async close() {
      forget()
      await modern.close()
      for (const transport of [...sessions.values()]) await transport.close()
      http.closeAllConnections()
      await new Promise<void>((resolve) => http.close(() => resolve()))
    },
  }
}

function refusal(status: number, message: string): Response {
  return Response.json({ jsonrpc: '2.0', id: null, error: { code: -32000, message } }, { status })
}

/** A request of `node:http` as the platform's Request; a client that goes away aborts it. */
async function respond(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  answer: (request: Request) => Promise<Response>,
): Promise<void> {
  const gone = new AbortController()
  outgoing.once('close', () => gone.abort())
  const { method = 'GET', url = '/', headers } = incoming
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const request = new Request(new URL(url, `http://${headers.host ?? HOST}`), {
    method,
    headers: Object.entries(headers).flatMap(([name, value]) =>
      (Array.isArray(value) ? value : [value ?? '']).map((each): [string, string] => [name, each]),
    ),
    signal: gone.signal,
    ...(hasBody ? { body: Readable.toWeb(incoming) as ReadableStream<Uint8Array>, duplex: 'half' as const } : {}),
  })
  const response = await answer(request)
  outgoing.writeHead(response.status, Object.fromEntries(response.headers))
  outgoing.flushHeaders()
  if (response.body === null) {
    outgoing.end()
    return
  }
  const reader = response.body.getReader()
  outgoing.once('close', () => void reader.cancel().catch(() => {}))
  for (;;) {
    const { done, value } = await reader.read()
    if (done || outgoing.destroyed) break
    if (!outgoing.write(value))
      await new Promise<void>((resolve) => {
        outgoing.once('drain', resolve)
        outgoing.once('close', resolve)
      })
  }
  outgoing.end()
}
