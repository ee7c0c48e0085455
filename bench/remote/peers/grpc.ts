/**
 * A plain gRPC service and its client, as separate processes without a gateway between them: @grpc/grpc-js, which `folder`
 * holds (peers/install.ts).
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { KIB_TEXT, machineMs } from '../functions.ts'
import { measureCalls, measureItems } from '../load.ts'
import { GRPC_PACKAGE, PROTO_PACKAGE } from './install.ts'
import type { PeerCase } from './peer-case.ts'

type Callback = (error: Error | null, reply?: Readonly<Record<string, unknown>>) => void
type Unary = (request: Readonly<Record<string, unknown>>, callback: Callback) => void
type Streaming = (request: Readonly<Record<string, unknown>>) => AsyncIterable<Readonly<Record<string, unknown>>>

interface EchoClient {
  readonly echo: Unary
  readonly size: Unary
  readonly makeBlob: Unary
  readonly gen: Streaming
  readonly texts: Streaming
  close(): void
}

interface UnaryCall {
  readonly request: { readonly value: number; readonly count: number; readonly bytes: Uint8Array }
}

interface StreamCall extends UnaryCall {
  write(item: Readonly<Record<string, unknown>>): boolean
  once(event: 'drain', listener: () => void): void
  end(): void
}

/** What is used of @grpc/grpc-js. */
interface Grpc {
  readonly Server: new (
    options: object,
  ) => {
    addService(service: unknown, handlers: object): void
    bindAsync(address: string, credentials: unknown, done: (error: Error | null, port: number) => void): void
  }
  readonly ServerCredentials: { createInsecure(): unknown }
  readonly credentials: { createInsecure(): unknown }
  loadPackageDefinition(definition: unknown): {
    readonly bench: {
      readonly Echo: (new (
        address: string,
        credentials: unknown,
        options: object,
      ) => EchoClient) & {
        readonly service: unknown
      }
    }
  }
}

const NO_LIMIT = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 }
const LARGE_BYTES = 64 * 1024 * 1024

function load(folder: string) {
  const require = createRequire(join(folder, 'package.json'))
  const grpc = require(GRPC_PACKAGE) as Grpc
  const loader = require(PROTO_PACKAGE) as { loadSync(file: string): unknown }
  const file = fileURLToPath(new URL('echo.proto', import.meta.url))
  return { grpc, Echo: grpc.loadPackageDefinition(loader.loadSync(file)).bench.Echo }
}

/** Serves, and gives the port. */
export function serveGrpc(folder: string): Promise<number> {
  const { grpc, Echo } = load(folder)
  const server = new grpc.Server(NO_LIMIT)
  const stream = async (call: StreamCall, item: (i: number) => Readonly<Record<string, unknown>>): Promise<void> => {
    for (let i = 0; i < call.request.count; i++) {
      if (!call.write(item(i))) await new Promise<void>((resolve) => call.once('drain', resolve))
    }
    call.end()
  }
  server.addService(Echo.service, {
    echo: ({ request }: UnaryCall, reply: Callback) => reply(null, request),
    size: ({ request }: UnaryCall, reply: Callback) => reply(null, { value: request.bytes.length }),
    makeBlob: ({ request }: UnaryCall, reply: Callback) => reply(null, { bytes: Buffer.alloc(request.count) }),
    gen: (call: StreamCall) => stream(call, (value) => ({ value })),
    texts: (call: StreamCall) => stream(call, () => ({ text: KIB_TEXT })),
  })
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(port) : reject(error),
    )
  })
}

export async function measureGrpc(
  what: PeerCase,
  { folder, port, callers, ms, items, fn }: GrpcOptions,
): Promise<unknown> {
  const { grpc, Echo } = load(folder)
  const client = new Echo(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), NO_LIMIT)
  const unary = (method: 'echo' | 'size' | 'makeBlob', request: Readonly<Record<string, unknown>>): Promise<unknown> =>
    new Promise((resolve, reject) => {
      client[method](request, (error, reply) => (error === null ? resolve(reply) : reject(error)))
    })
  try {
    switch (what) {
      case 'calls':
        return await measureCalls((value) => unary('echo', { value }), callers, ms)
      case 'items':
        return await measureItems(
          (count) => fieldOf(fn === 'texts' ? client.texts({ count }) : client.gen({ count })),
          items,
          fn === 'texts' ? () => KIB_TEXT : (i) => i,
        )
      case 'large': {
        await unary('size', { bytes: Buffer.alloc(1024) })
        const startMs = machineMs()
        await unary('size', { bytes: Buffer.alloc(LARGE_BYTES) })
        const thenMs = machineMs()
        await unary('makeBlob', { count: LARGE_BYTES })
        return { argumentMs: thenMs - startMs, resultMs: machineMs() - thenMs }
      }
      default:
        throw new Error(`gRPC has no case ${what}`)
    }
  } finally {
    client.close()
  }
}

export interface GrpcOptions {
  readonly folder: string
  readonly port: number
  readonly callers: number
  readonly ms: number
  readonly items: number
  readonly fn: string
}

async function* fieldOf(stream: AsyncIterable<Readonly<Record<string, unknown>>>): AsyncIterable<unknown> {
  for await (const { value, text } of stream) yield text ?? value
}
