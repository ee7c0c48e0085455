/**
 * A world on virtual time: the production gateway, nodes and clients over links in memory. Faults are done to the links and
 * to the processes; the code that runs is what users run.
 */
import { type SeededRandom, SimScheduler, seededRandom } from 'millrace/testing'
import { type Client, connectClient } from '../../src/client/client.ts'
import { GatewayCore } from '../../src/gateway/gateway-core.ts'
import type { Link } from '../../src/link/link.ts'
import { ComputeNode } from '../../src/node/compute-node.ts'
import { RemoteError } from '../../src/remote-error.ts'
import { MemoryNetwork, type MemoryWire } from '../../src/testing/memory-network.ts'
import type { functionsOf } from './functions.ts'
import { SimHost } from './host.ts'

export type WorldFunctions = ReturnType<typeof functionsOf>

/** Changes one end of every link: how bugs are planted from outside. */
export type DecorateLink = (link: Link, end: LinkEnd) => Link

export interface LinkEnd {
  /** Whose end it is. */
  readonly of: 'gateway' | 'node' | 'client'
  /** Who dialled. */
  readonly dialer: 'node' | 'client'
  readonly random: SeededRandom
}

export const WINDOW = { items: 8, bytes: 64 * 1024 }
export const SILENT_MS = 5_000
export const HOLD_MS = 15_000

interface Gateway {
  readonly host: SimHost
  readonly core: GatewayCore
}

export class World {
  readonly scheduler: SimScheduler
  readonly random: SeededRandom
  readonly network: MemoryNetwork
  readonly nodes = new Map<string, { host: SimHost; node: ComputeNode }>()
  readonly clients: { host: SimHost; client: Client<WorldFunctions> }[] = []
  readonly #decorate: DecorateLink
  /** Of whom the wires are: by the name of who dialled. */
  readonly #wires = new Map<string, MemoryWire>()
  readonly #hosts: SimHost[] = []
  /** The most that waited for anybody to read it. */
  bufferedBytesMost = 0
  wiresOpened = 0
  gateway: Gateway

  constructor(seed: number, decorate: DecorateLink = (link) => link) {
    this.scheduler = new SimScheduler(seed)
    this.random = seededRandom(seed).fork('world')
    this.#decorate = decorate
    const time = this.#host('network')
    this.network = new MemoryNetwork({ time, latencyMs: [0.05, 2] })
    this.gateway = this.#startGateway()
  }

  get now(): number {
    return this.scheduler.nowMs
  }

  wireOf(name: string): MemoryWire | undefined {
    return this.#wires.get(name)
  }

  async startNode(id: string, functions: (host: SimHost, id: string) => WorldFunctions): Promise<void> {
    const host = this.#host(id)
    const node = new ComputeNode('sim', () => this.#dial(host, 'node'), { id, time: host, holdMs: HOLD_MS })
    for (const [name, fn] of Object.entries(functions(host, id))) node.register(name, fn, { concurrency: 2 })
    this.nodes.set(id, { host, node })
    await node.startPatiently()
  }

  async startClient(number: number): Promise<void> {
    const host = this.#host(`client-${number}`)
    const connect = (): Promise<Link> => this.#dial(host, 'client')
    const client = await connectClient<WorldFunctions>('sim', connect, { time: host, window: WINDOW })
    this.clients[number] = { host, client }
  }

  /** The gateway ends without a word, and another one starts at its address. */
  restartGateway(awayMs: number): void {
    const { host } = this.gateway
    host.kill()
    for (const wire of [...this.network.wires]) wire.cut()
    this.scheduler.schedule(awayMs, 'restart', () => {
      this.gateway = this.#startGateway()
    })
  }

  /** A node ends without a word. */
  killNode(id: string): void {
    this.nodes.get(id)?.host.kill()
    this.#wires.get(id)?.cut()
  }

  hostOf(name: string): SimHost | undefined {
    if (name === 'gateway') return this.gateway.host
    return this.nodes.get(name)?.host ?? this.clients.find(({ host }) => host.name === name)?.host
  }

  async close(): Promise<void> {
    for (const { client } of this.clients) void client.close()
    for (const { node, host } of this.nodes.values()) if (host.isAlive) void node.close()
    await this.scheduler.run(() => false, { virtualMs: 10_000 })
    this.gateway.core.close()
  }

  #startGateway(): Gateway {
    const host = this.#host('gateway')
    return { host, core: new GatewayCore({ time: host, silentMs: SILENT_MS, pingMs: 2_000 }) }
  }

  #host(name: string): SimHost {
    const host = new SimHost(name, this.scheduler, this.random.fork(`${name} ${this.#hosts.length}`))
    this.#hosts.push(host)
    return host
  }

  #dial(host: SimHost, kind: 'node' | 'client'): Promise<Link> {
    return new Promise((resolve, reject) => {
      host.after(0.1 + this.random.next() * 3, () => {
        const gateway = this.gateway
        if (!gateway.host.isAlive) {
          reject(new RemoteError('GATEWAY_UNREACHABLE', 'there is no gateway.', { retryable: true }))
          return
        }
        const run = (of: SimHost) => (fn: () => void) => of.run(fn)
        const wire = this.network.open({ name: host.name, run: run(host) }, { name: 'gateway', run: run(gateway.host) })
        this.wiresOpened++
        this.#wires.set(host.name, wire)
        const watch = (end: 'dialer' | 'acceptor'): Link => {
          const of = end === 'dialer' ? kind : 'gateway'
          return this.#decorate(watched(wire[end], this), { of, dialer: kind, random: this.random })
        }
        gateway.host.run(() => gateway.core.accept(watch('acceptor')))
        resolve(watch('dialer'))
      })
    })
  }
}

/** The link, with what waits on it noted. */
function watched(link: Link, world: World): Link {
  const { send } = link
  link.send = (message) => {
    send.call(link, message)
    world.bufferedBytesMost = Math.max(world.bufferedBytesMost, link.bufferedBytes)
  }
  return link
}
