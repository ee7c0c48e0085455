/**
 * Hostile messages against every end: a gateway hears them from a client and from a node, a node and a client hear them from
 * what claims to be a gateway. Beside each, honest peers go on, and are looked at.
 */
import { type SeededRandom, seededRandom } from 'millrace/testing'
import { type Client, connectClient } from '../../src/client/client.ts'
import { GatewayCore } from '../../src/gateway/gateway-core.ts'
import { CLOSE, type Link, type LinkClosed } from '../../src/link/link.ts'
import { ComputeNode } from '../../src/node/compute-node.ts'
import { encodeJson } from '../../src/protocol/codec.ts'
import { FRAME, FrameWriter, parseFrames } from '../../src/protocol/frame.ts'
import { MemoryNetwork } from '../../src/testing/memory-network.ts'
import { realTime } from '../../src/time.ts'
import { type HostileRole, hostileMessage } from './hostile.ts'

export interface FuzzReport {
  readonly messages: number
  readonly links: number
  /** Links that were closed with PROTOCOL_ERROR, or refused at HELLO. */
  readonly closed: number
  readonly honestCalls: number
  readonly bytesGrown: number
}

interface Honest {
  echo(value: unknown): unknown
  count(n: number): AsyncIterable<number>
}

const functions = {
  echo: (value: unknown) => value,
  async *count(n: number) {
    for (let i = 0; i < n; i++) yield i
  },
}

/** Messages on a link, at most: an honest look comes after each. */
const MESSAGES_PER_LINK = 5

/** @throws Error with the seed's case when an honest peer suffers */
export async function fuzz(seed: number, messages: number, measure: () => number): Promise<FuzzReport> {
  const random = seededRandom(seed).fork('fuzz')
  const world = await open()
  const totals = { links: 0, closed: 0, honestCalls: 0 }
  const roles = ['client', 'node', 'to node', 'to client'] as const
  let sent = 0
  const round = async (role: (typeof roles)[number]): Promise<void> => {
    const result =
      role === 'client' || role === 'node' ? await atGateway(world, random, role) : await asGateway(random, role)
    sent += result.sent
    totals.links++
    if (result.closed) totals.closed++
    totals.honestCalls += await look(world, `${role}, message ${sent} of seed ${seed}`)
  }
  for (const role of roles) await round(role)
  const before = measure()
  while (sent < messages) await round(roles[totals.links % roles.length])
  const bytesGrown = measure() - before
  await world.close()
  return { messages: sent, ...totals, bytesGrown }
}

interface FuzzWorld {
  readonly gateway: GatewayCore
  readonly client: Client<Honest>
  dial(peer: string): Link
  close(): Promise<void>
}

async function open(): Promise<FuzzWorld> {
  const network = new MemoryNetwork({ time: realTime })
  const gateway = new GatewayCore({ payloadBytesMax: 1024 * 1024 })
  const dial = (peer: string): Link => {
    const wire = network.open({ name: peer }, { name: 'gateway' })
    gateway.accept(wire.acceptor)
    return wire.dialer
  }
  const node = new ComputeNode('fuzz', async () => dial('n1'), { id: 'n1' }).registerAll(functions)
  await node.start()
  const client = await connectClient<Honest>('fuzz', async () => dial('honest'), {})
  return {
    ...{ gateway, client, dial },
    async close() {
      await client.close()
      await node.close()
      gateway.close()
    },
  }
}

/** The honest node and client have the links they had, and calls between them are right. */
async function look({ gateway, client }: FuzzWorld, when: string): Promise<number> {
  const value = await client.call.echo({ a: [1, null], b: when })
  if (JSON.stringify(value) !== JSON.stringify({ a: [1, null], b: when })) throw new Error(`${when}: echo is wrong`)
  let sum = 0
  for await (const item of client.stream.count(20)) sum += item
  if (sum !== 190) throw new Error(`${when}: a stream is wrong`)
  const { lease } = gateway.nodes.find(({ id }) => id === 'n1') ?? { lease: 0 }
  if (lease !== 1) throw new Error(`${when}: the honest node lost its link (lease ${lease})`)
  if (gateway.stats.opened < 2 || gateway.stats.clients < 1) throw new Error(`${when}: the honest client lost its link`)
  if (({} as { polluted?: boolean }).polluted !== undefined) throw new Error(`${when}: Object.prototype is polluted`)
  return 2
}

/** A hostile client or node at the gateway; sometimes without a word of introduction. */
async function atGateway(world: FuzzWorld, random: SeededRandom, role: 'client' | 'node'): Promise<Round> {
  const link = world.dial(`hostile ${role}`)
  const heard = listen(link)
  const calls: number[] = [1, 2]
  if (random.chance(0.9)) {
    const offer = { functions: [{ name: 'evil', kind: 'call' }] }
    link.send(
      message(FRAME.HELLO, 0, encodeJson({ version: 1, role, ...(role === 'node' ? { id: 'bad', offer } : {}) })),
    )
    await settled()
  }
  let victim: Promise<unknown> | undefined
  if (role === 'node' && world.gateway.nodes.some(({ id }) => id === 'bad')) {
    // Somebody calls it; whatever comes of that, it comes to its end with the link.
    const { evil } = world.client.call as unknown as { evil(): Promise<unknown> }
    victim = evil().catch(() => {})
  }
  const result = await say(link, heard, random, role, calls)
  link.destroy()
  await victim
  await settled()
  return result
}

/** A hostile gateway, at a node or a client of its own. */
async function asGateway(random: SeededRandom, to: 'to node' | 'to client'): Promise<Round> {
  const network = new MemoryNetwork({ time: realTime })
  const dialled = Promise.withResolvers<Link>()
  let dials = 0
  const connect = async (): Promise<Link> => {
    if (dials++ > 0) throw new Error('it is not there any more')
    const wire = network.open({ name: 'peer' }, { name: 'hostile gateway' })
    dialled.resolve(wire.acceptor)
    return wire.dialer
  }
  const node = to === 'to node' ? new ComputeNode('hostile', connect, { id: 'n1' }).registerAll(functions) : undefined
  const opened: Promise<Client<Honest> | undefined> =
    node === undefined ? connectClient<Honest>('hostile', connect, {}) : node.start().then(() => undefined)
  opened.catch(() => {})
  const link = await dialled.promise
  const heard = listen(link)
  const isPolite = random.chance(0.9)
  if (isPolite) {
    const limits = { pingMs: 2_000, silentMs: 5_000, payloadBytesMax: 1024 * 1024 }
    link.send(message(FRAME.WELCOME, 0, encodeJson({ version: 1, session: 's', secret: 's', gateway: 'g', ...limits })))
    await settled()
  }
  let victims: Promise<unknown>[] = []
  if (isPolite && node === undefined) {
    const client = (await opened) as Client<Honest>
    const drain = async (): Promise<void> => {
      for await (const _ of client.stream.count(5)) {
      }
    }
    victims = [client.call.echo(1) as Promise<unknown>, drain()].map((call) => call.catch(() => {}))
    await settled()
  }
  const result = await say(link, heard, random, 'gateway', [1, 2, ...heard.calls])
  link.destroy()
  await settled()
  if (node !== undefined) await node.close()
  // It may have taken a hostile WELCOME for a real one.
  else await (await opened.catch(() => undefined))?.close()
  await Promise.all(victims)
  return result
}

interface Round {
  readonly sent: number
  readonly closed: boolean
}

async function say(
  link: Link,
  heard: Heard,
  random: SeededRandom,
  role: HostileRole,
  calls: readonly number[],
): Promise<Round> {
  let sent = 0
  for (let i = random.between(1, MESSAGES_PER_LINK); i > 0 && heard.closed === undefined; i--) {
    const { bytes, isBroken } = hostileMessage(random, role, calls)
    link.send(bytes)
    sent++
    await settled()
    if (!isBroken || heard.closed !== undefined) continue
    throw new Error(`a message that is no frames did not end the link of the ${role}`)
  }
  const code = heard.closed?.code
  // 1006: it ended the link while it said why, or we were refused before HELLO.
  const expected: readonly (number | undefined)[] = [
    undefined,
    CLOSE.protocolError,
    CLOSE.unauthenticated,
    CLOSE.normal,
    CLOSE.fenced,
  ]
  if (!expected.includes(code))
    throw new Error(`the link of the ${role} was closed with ${code}: ${heard.closed?.reason}`)
  return { sent: Math.max(sent, 1), closed: code === CLOSE.protocolError || code === CLOSE.unauthenticated }
}

interface Heard {
  closed: LinkClosed | undefined
  readonly calls: number[]
}

function listen(link: Link): Heard {
  const heard: Heard = { closed: undefined, calls: [] }
  link.start({
    onMessage(bytes) {
      for (const frame of parseFrames(bytes)) if (frame.type === FRAME.OPEN) heard.calls.push(frame.call)
    },
    onClose(closed) {
      heard.closed = closed
    },
  })
  return heard
}

function message(type: (typeof FRAME)[keyof typeof FRAME], call: number, body: Uint8Array): Uint8Array {
  const writer = new FrameWriter()
  writer.write(type, call, 0, 0, 0, body)
  return writer.take()
}

/** Links in memory deliver a message per turn. */
async function settled(): Promise<void> {
  for (let i = 0; i < 6; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}
