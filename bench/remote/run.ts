/**
 * One process of the measurements of remote calls. As the client (the default) it makes one measurement, for which it starts
 * the others, and prints JSON; in another --role it serves until it is ended. Started by remote.ts.
 */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { computeNode, serveFile, startGateway } from '@millrace/remote'
import { type CaseOptions, cases } from './cases.ts'
import { functions } from './functions.ts'
import { measureEasyRemote } from './peers/easyremote.ts'
import { measureGrpc, serveGrpc } from './peers/grpc.ts'
import type { PeerCase } from './peers/peer-case.ts'
import { measureWebSocket, serveWebSocket } from './peers/websocket.ts'
import { start } from './processes.ts'
import { Profiler } from './profiler.ts'

const { values } = parseArgs({
  options: {
    role: { type: 'string', default: 'client' },
    // Of a gateway, a node.
    nats: { type: 'string' },
    gateway: { type: 'string', default: '' },
    id: { type: 'string', default: 'n1' },
    // Also of the client: generators that are not async run in threads, as in `millrace node`.
    threads: { type: 'string', default: 'no' },
    // Of the client: what is measured, of which system.
    case: { type: 'string', default: 'calls' },
    peer: { type: 'string' },
    folder: { type: 'string', default: '' },
    transport: { type: 'string', default: 'websocket' },
    ms: { type: 'string', default: '2000' },
    items: { type: 'string', default: '1000000' },
    callers: { type: 'string', default: '1' },
    rate: { type: 'string', default: '100' },
    fn: { type: 'string', default: 'gen' },
    limitS: { type: 'string', default: '10' },
    profiles: { type: 'string' },
  },
})
const { folder, fn, profiles } = values
const isThreaded = values.threads === 'yes'
const numbers = {
  ms: Number(values.ms),
  items: Number(values.items),
  callers: Number(values.callers),
  rate: Number(values.rate),
  limitS: Number(values.limitS),
}

const roles: Readonly<Record<string, () => Promise<void>>> = {
  async gateway() {
    const { nats } = values
    const { url } = await startGateway({ port: 0, ...(nats === undefined ? {} : { nats: { url: nats } }) })
    serve(url)
  },
  async node() {
    const node = computeNode({ gateway: values.gateway, id: values.id })
    if (isThreaded) await serveFile(node, new URL('functions.ts', import.meta.url))
    else node.registerAll(functions)
    await node.start()
    serve('')
  },
  async grpc() {
    serve(String(await serveGrpc(folder)))
  },
  async websocket() {
    serve(String(await serveWebSocket()))
  },
  async client() {
    console.log(JSON.stringify(await (values.peer === undefined ? measure() : measurePeer(values.case as PeerCase))))
  },
}
await roles[values.role]()
// What peers leave open.
if (values.role === 'client') process.exit()

function measure(): Promise<unknown> {
  const options = { ...values, ...numbers, threads: isThreaded, profiles }
  return cases[values.case as keyof typeof cases](options as CaseOptions)
}

async function measurePeer(what: PeerCase): Promise<unknown> {
  if (values.peer === 'easyremote') return measureEasyRemote(what, { folder, fn, ...numbers })
  const args = ['--role', values.peer as string, '--folder', folder]
  const server = await start(process.execPath, [
    '--conditions=millrace-source',
    fileURLToPath(import.meta.url),
    ...args,
  ])
  try {
    const options = { folder, fn, port: Number(server.ready), ...numbers }
    return await (values.peer === 'grpc' ? measureGrpc(what, options) : measureWebSocket(what, options))
  } finally {
    await server.stop()
  }
}

function serve(ready: string): void {
  const profiler = profiles === undefined ? undefined : new Profiler(profiles, values.role)
  // The client says when what is measured begins.
  process.on('SIGUSR2', () => void profiler?.start())
  process.on('SIGTERM', () => void Promise.resolve(profiler?.stop()).finally(() => process.exit(0)))
  console.log(`READY ${ready}`)
}
