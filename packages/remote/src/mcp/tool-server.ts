/**
 * One conversation with a language model's client: it lists the functions of a gateway as tools, calls them, and says when they
 * change. Cancelling cancels the call on its node; items of a stream are told as progress.
 */
import { Server, type ServerContext } from '@modelcontextprotocol/server'
import { messageOf } from 'millrace/connector'
import type { Client } from '../client/client.ts'
import { RemoteError } from '../remote-error.ts'
import { plainOf, type Tool } from './tool.ts'
import type { ToolSet } from './tool-set.ts'

export interface ToolServerOptions {
  readonly client: Client
  readonly tools: ToolSet
  readonly version: string
  readonly deadlineMs: number
  readonly itemsMax: number
}

interface ToolResult {
  [name: string]: unknown
  content: { type: 'text'; text: string }[]
  structuredContent?: Record<string, unknown>
  isError?: boolean
}

type Calls = Readonly<Record<string, (...args: unknown[]) => Promise<unknown>>>
type Streams = Readonly<Record<string, (...args: unknown[]) => AsyncIterable<unknown>>>

/** Of an item that is told as progress. */
const PROGRESS_CHARS_MAX = 1_000

export function toolServer(options: ToolServerOptions): Server {
  const { tools, version } = options
  const server = new Server({ name: 'millrace', version }, { capabilities: { tools: { listChanged: true } } })
  server.setRequestHandler('tools/list', async () => ({
    tools: (await tools.fresh()).map(({ name, description, inputSchema, outputSchema }) => ({
      name,
      description,
      inputSchema: inputSchema as { type: 'object' },
      ...(outputSchema === undefined ? {} : { outputSchema: outputSchema as { type: 'object' } }),
    })),
  }))
  server.setRequestHandler('tools/call', async ({ params }, ctx) => {
    try {
      const tool = await tools.find(params.name)
      const args = tool.argumentsOf(params.arguments ?? {})
      return await (tool.kind === 'stream' ? streamed(options, tool, args, ctx) : called(options, tool, args, ctx))
    } catch (error) {
      return failed(error)
    }
  })
  const forget = tools.onChange(() => {
    // A client that is gone need not know.
    server.sendToolListChanged().catch(() => {})
  })
  server.onclose = forget
  return server
}

async function called(
  { client, deadlineMs }: ToolServerOptions,
  { fn }: Tool,
  args: unknown[],
  ctx: ServerContext,
): Promise<ToolResult> {
  const limited = client.with({ deadline: deadlineMs, signal: ctx.mcpReq.signal })
  return resultOf(plainOf(await (limited.call as Calls)[fn](...args)))
}

/** Gathers items up to the limits; what a stream gave before its deadline is a result too, and says that it is not all. */
async function streamed(
  { client, deadlineMs, itemsMax }: ToolServerOptions,
  { fn }: Tool,
  args: unknown[],
  ctx: ServerContext,
): Promise<ToolResult> {
  const limited = client.with({ deadline: deadlineMs, signal: ctx.mcpReq.signal })
  const progressToken = ctx.mcpReq._meta?.progressToken
  const items: unknown[] = []
  let isComplete = true
  try {
    for await (const each of (limited.stream as Streams)[fn](...args)) {
      const item = plainOf(each)
      items.push(item)
      if (progressToken !== undefined) {
        const message = JSON.stringify(item).slice(0, PROGRESS_CHARS_MAX)
        await ctx.mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken, progress: items.length, message },
        })
      }
      if (items.length >= itemsMax) {
        isComplete = false
        break
      }
    }
  } catch (error) {
    if (!(error instanceof RemoteError && error.code === 'DEADLINE_EXCEEDED' && items.length > 0)) throw error
    isComplete = false
  }
  return resultOf({ items, isComplete })
}

function resultOf(value: unknown): ToolResult {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  return {
    content: [{ type: 'text', text: JSON.stringify(value) }],
    ...(isObject ? { structuredContent: value as Record<string, unknown> } : {}),
  }
}

/** The model reads it and may do better. */
function failed(error: unknown): ToolResult {
  const code = error instanceof RemoteError ? error.code : 'INTERNAL'
  const facts =
    error instanceof RemoteError ? { code, retryable: error.retryable, data: plainOf(error.data) } : { code }
  return { content: [{ type: 'text', text: `${code} ${messageOf(error)}` }], isError: true, _meta: { millrace: facts } }
}
