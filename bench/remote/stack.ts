/** A gateway and its nodes, each a process of its own, for one measurement. */
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { type Client, type ClientOptions, connect } from '@millrace/remote'
import type { functions } from './functions.ts'
import { cpuMs, type Process, start } from './processes.ts'

export type BenchClient = Client<typeof functions>
export type Transport = 'websocket' | 'nats'

export interface Cpu {
  readonly client: number
  readonly gateway: number
  readonly node: number
}

export interface Stack {
  readonly gateway: Process
  readonly nodes: readonly Process[]
  connect(options?: ClientOptions): Promise<BenchClient>
  /** CPU time of each process so far, ms. */
  cpuMs(): Cpu
  /** What is measured begins. */
  profile(): void
  stop(): Promise<void>
}

export interface StackOptions {
  readonly transport: Transport
  /** Generators that are not async run in threads of their node. */
  readonly threads: boolean
  /** Folder where each process leaves a CPU profile of what is measured. */
  readonly profiles: string | undefined
}

export async function startStack(
  nodes: readonly string[],
  { transport, threads, profiles }: StackOptions,
): Promise<Stack> {
  const started: Process[] = []
  const stop = async (): Promise<void> => {
    for (const process of started.reverse()) await process.stop()
  }
  const role = async (name: string, args: readonly string[]): Promise<Process> => {
    const process_ = await start(process.execPath, [
      ...['--conditions=millrace-source', RUN, '--role', name],
      ...(profiles === undefined ? [] : ['--profiles', profiles]),
      ...args,
    ])
    started.push(process_)
    return process_
  }
  try {
    let nats = ''
    if (transport === 'nats') {
      const port = await freePort()
      nats = `nats://127.0.0.1:${port}`
      started.push(await start('nats-server', ['-a', '127.0.0.1', '-p', String(port)], /Server is ready/))
    }
    const gateway = await role('gateway', transport === 'nats' ? ['--nats', nats] : [])
    const url = transport === 'nats' ? nats : gateway.ready
    const all: Process[] = []
    for (const id of nodes) {
      all.push(await role('node', ['--gateway', url, '--id', id, '--threads', threads ? 'yes' : 'no']))
    }
    return {
      gateway,
      nodes: all,
      connect: (options) => connect({ gateway: url, ...options }),
      cpuMs: () => ({ client: cpuMs(process.pid), gateway: cpuMs(gateway.pid), node: cpuMs(all[0].pid) }),
      profile: () => {
        if (profiles !== undefined) for (const { pid } of [gateway, ...all]) process.kill(pid, 'SIGUSR2')
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

const RUN = fileURLToPath(new URL('run.ts', import.meta.url))

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
