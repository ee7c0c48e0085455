/**
 * `@millrace/remote/mcp`: functions of nodes as tools of a language model, over stdio and streamable HTTP, by the official SDK
 * (`@modelcontextprotocol/server`, to be installed beside).
 */
import type { Readable, Writable } from 'node:stream'
import { StdioServerTransport, serveStdio } from '@modelcontextprotocol/server/stdio'
import { type Duration, positiveDurationMs, UsageError } from 'millrace/connector'
import { type GatewayAddress, openLink } from '../address.ts'
import { type ClientOptions, connectClient } from '../client/client.ts'
import { type McpHttp, serveHttp } from './http.ts'
import { toolServer } from './tool-server.ts'
import { ToolSet } from './tool-set.ts'

export type { GatewayAddress } from '../address.ts'
export type { ClientOptions } from '../client/client.ts'

export interface McpOptions extends ClientOptions, GatewayAddress {
  /** Functions that are tools: names in which `*` stands for any characters. Default: all. */
  readonly only?: readonly string[]
  /** A call, or a stream, ends after this. Default '60s'. */
  readonly callDeadline?: Duration
  /** Items of a stream in one result; a longer stream is cut there. Default 1,000. */
  readonly itemsMax?: number
  /** What the server says it is. Default '0.1.0'. */
  readonly version?: string
}

export interface McpStdio {
  /** Resolves when the other side has closed its end, or `close` was called. */
  readonly ended: Promise<void>
  close(): Promise<void>
}

export type { McpHttp } from './http.ts'

/**
 * Serves MCP on stdin and stdout; nothing else may be written to stdout.
 * @throws RemoteError `GATEWAY_UNREACHABLE`, `UNAUTHENTICATED`, `PERMISSION_DENIED`
 */
export async function serveMcpStdio(
  options: McpOptions & { readonly stdin?: Readable; readonly stdout?: Writable },
): Promise<McpStdio> {
  const { newServer, close } = await open(options)
  const transport = new StdioServerTransport(options.stdin, options.stdout)
  let resolveEnded = (): void => {}
  const ended = new Promise<void>((resolve) => {
    resolveEnded = resolve
  })
  const handle = serveStdio(newServer, { transport })
  const onClose = transport.onclose
  let isClosed = false
  const end = async (): Promise<void> => {
    if (isClosed) return
    isClosed = true
    await close()
    resolveEnded()
  }
  transport.onclose = () => {
    onClose?.()
    void end()
  }
  return {
    ended,
    async close() {
      await handle.close()
      await end()
    },
  }
}

/**
 * Serves MCP over streamable HTTP on this machine, at `/mcp`. Pages of other sites are refused.
 * @throws RemoteError as `serveMcpStdio`
 * @throws OperationalError `MCP_PORT`
 */
export async function serveMcpHttp(
  options: McpOptions & {
    /** 0 takes any free one. */
    readonly port: number
    /** Default 100. */
    readonly sessionsMax?: number
  },
): Promise<McpHttp> {
  const { newServer, tools, close } = await open(options)
  try {
    const http = await serveHttp({ port: options.port, tools, newServer, sessionsMax: options.sessionsMax ?? 100 })
    return {
      url: http.url,
      async close() {
        await http.close()
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function open(options: McpOptions) {
  const { only = ['*'], itemsMax = 1_000, version = '0.1.0' } = options
  const deadlineMs = positiveDurationMs(options.callDeadline ?? '60s', 'callDeadline')
  if (!(Number.isSafeInteger(itemsMax) && itemsMax > 0)) {
    throw new UsageError('REMOTE_OPTION', `itemsMax is ${String(itemsMax)}; it must be a whole number of at least 1.`)
  }
  const client = await connectClient(options.gateway, () => openLink(options), options)
  const tools = new ToolSet(client, only)
  try {
    await tools.start()
  } catch (error) {
    await client.close()
    throw error
  }
  return {
    tools,
    newServer: () => toolServer({ client, tools, version, deadlineMs, itemsMax }),
    async close() {
      tools.close()
      await client.close()
    },
  }
}
