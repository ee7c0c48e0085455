/**
 * Gateways on one NATS cluster: they serve links from it in a queue group, find each other by saying that they are there, and
 * each offers its own nodes to all others. A call takes at most one hop between gateways.
 */
import type { NatsConnection } from '@nats-io/transport-node'
import { acceptNats, connectNats, openNats, subjects } from '../link/nats.ts'
import type { NatsAddress } from '../link/nats-address.ts'
import { encodeJson } from '../protocol/codec.ts'
import { FRAME } from '../protocol/frame.ts'
import { PROTOCOL_VERSION } from '../protocol/messages.ts'
import { Connection } from '../session/connection.ts'
import { realTime, type Time } from '../time.ts'
import type { GatewayCore, GatewayOptions } from './gateway-core.ts'

/** How often a gateway says that it is there. */
const PRESENCE_MS = 1_000
/** Between attempts to reach a NATS server that went away. */
const AGAIN_MS = 500
const BUFFER_BYTES_MAX = 256 * 1024 * 1024

export interface Cluster {
  close(): Promise<void>
}

/** @throws RemoteError `GATEWAY_UNREACHABLE` when the NATS server does not answer */
export async function joinNats(
  core: GatewayCore,
  address: NatsAddress & { readonly token?: string },
  { log = () => {}, time = realTime }: Pick<GatewayOptions, 'log' | 'time'>,
): Promise<Cluster> {
  let isClosed = false
  let leave = joined(core, address, await openNats(address), time, log)
  const again = (): void => {
    if (isClosed) return
    openNats(address).then(
      (connection) => {
        if (isClosed) void connection.close()
        else {
          leave = joined(core, address, connection, time, log)
          watch()
          log('info', `the NATS server at ${address.url} is back`)
        }
      },
      () => time.after(AGAIN_MS, again),
    )
  }
  const watch = (): void => {
    void leave.connection.closed().then(() => {
      if (isClosed) return
      log(
        'warn',
        `the NATS server at ${address.url} is gone; nodes and clients on the port are served on. Trying again.`,
      )
      leave.stop()
      time.after(AGAIN_MS, again)
    })
  }
  watch()
  return {
    async close() {
      isClosed = true
      leave.stop()
      await leave.accepted.close()
    },
  }
}

function joined(
  core: GatewayCore,
  address: NatsAddress & { readonly token?: string },
  connection: NatsConnection,
  time: Time,
  log: NonNullable<GatewayOptions['log']>,
) {
  const names = subjects(address)
  const peers = new Map<string, Connection>()
  const accepted = acceptNats(connection, address, core.name, (link) => core.accept(link), time)
  let cancelPresence = (): void => {}
  const sayPresent = (): void => {
    if (connection.isClosed()) return
    connection.publish(names.presence, core.name)
    cancelPresence = time.after(PRESENCE_MS, sayPresent)
  }
  connection.subscribe(names.presence, {
    callback: (error, message) => {
      const gateway = error === null ? message.string() : core.name
      if (gateway === core.name || peers.has(gateway)) return
      peers.set(gateway, offerTo(gateway))
    },
  })
  sayPresent()
  core.onNodesChanged = () => {
    const body = encodeJson({ nodes: core.ownNodes })
    for (const peer of peers.values()) peer.session?.send(FRAME.OFFER, 0, body)
  }

  /** A link on which another gateway may call our nodes. It is opened anew when that gateway says it is there. */
  function offerTo(gateway: string): Connection {
    let calls: ReturnType<GatewayCore['callsOf']> | undefined
    const peer: Connection = new Connection({
      address: `gateway ${gateway}`,
      time,
      bufferBytesMax: BUFFER_BYTES_MAX,
      connect: () => connectNats(address, names.of(gateway), time),
      hello: () => ({
        version: PROTOCOL_VERSION,
        role: 'peer',
        id: core.name,
        nodes: core.ownNodes,
        ...(address.token === undefined ? {} : { token: address.token }),
      }),
      onWelcome: (session) => {
        calls = core.callsOf(session)
        // What changed while HELLO was on its way.
        session.send(FRAME.OFFER, 0, encodeJson({ nodes: core.ownNodes }))
      },
      onFrame: (frame) => calls?.onFrame(frame),
      onLost: () => {
        calls?.close()
        peers.delete(gateway)
        peer.close('given up')
      },
    })
    peer.open().catch((thrown: unknown) => {
      log('warn', `gateway ${gateway} cannot be reached: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
      peers.delete(gateway)
      peer.close('given up')
    })
    return peer
  }

  return {
    connection,
    accepted,
    stop(): void {
      cancelPresence()
      core.onNodesChanged = () => {}
      for (const peer of [...peers.values()]) peer.close('given up')
      peers.clear()
    },
  }
}
