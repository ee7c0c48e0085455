/** Entry of a thread that runs functions of a node: a node of its own, whose link is the port to the main thread. */
import { parentPort, workerData } from 'node:worker_threads'
import { messageOf, UsageError } from 'millrace/connector'
import type { Link } from '../../link/link.ts'
import { ComputeNode } from '../compute-node.ts'
import { functionsOf } from './function-options.ts'
import { PortLink } from './port-link.ts'
import type { FromThread, PlainFailure, ThreadStart, ToThread } from './thread-messages.ts'

const start = workerData as ThreadStart
const port = parentPort as NonNullable<typeof parentPort>
const post = (message: FromThread): void => port.postMessage(message)

let link: PortLink | undefined
let mayLink = false
let onMayLink = (): void => {}

port.on('message', (message: Uint8Array | ToThread) => {
  if (message instanceof Uint8Array) {
    link?.deliver(message)
    return
  }
  switch (message.type) {
    case 'link':
      mayLink = true
      onMayLink()
      return
    case 'close':
      link?.closed(message.code, message.reason)
      return
    case 'sync':
      post({ type: 'synced', number: message.number })
  }
})

try {
  await main()
} catch (error) {
  post({ type: 'failed', error: plainFailure(error) })
}

async function main(): Promise<void> {
  const { id, stacks, holdMs } = start
  const node = new ComputeNode('the thread of the link', connect, {
    ...{ id, stacks },
    ...(holdMs === undefined ? {} : { holdMs }),
  })
  const module = (await import(start.module)) as Readonly<Record<string, unknown>>
  const threaded = register(node, module)
  post({ type: 'ready', offers: node.offer.functions, threaded })
  await node.startPatiently()
}

/** The names of the functions that are for the pool. */
function register(node: ComputeNode, module: Readonly<Record<string, unknown>>): string[] {
  const { pick, file } = start
  const functions = functionsOf(module, file)
  for (const { name, fn, options, isThreaded } of functions) {
    if (isThreaded === (pick === 'threaded')) node.register(name, fn, options)
  }
  return functions.filter(({ isThreaded }) => isThreaded).map(({ name }) => name)
}

/** Waits for the word of the main thread that there is a gateway. */
async function connect(): Promise<Link> {
  while (!mayLink) {
    await new Promise<void>((resolve) => {
      onMayLink = resolve
    })
  }
  mayLink = false
  post({ type: 'open' })
  link = new PortLink(port, 'main thread')
  return link
}

function plainFailure(thrown: unknown): PlainFailure {
  const error = thrown instanceof Error ? thrown : new Error(messageOf(thrown))
  const code = (error as { code?: unknown }).code
  return {
    name: error.constructor.name,
    message: error.message,
    stack: error.stack ?? '',
    code: typeof code === 'string' ? code : undefined,
    isUsage: error instanceof UsageError,
  }
}
