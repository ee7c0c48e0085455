/** Where a gateway is, and the link to it. */
import type { Link } from './link/link.ts'
import { connectWebSocket, type WebSocketConnectOptions } from './link/websocket.ts'

export interface GatewayAddress {
  /** `ws://host:port`, `wss://host:port`, or `nats://host:port` for any gateway of a NATS cluster. */
  readonly gateway: string
  /** Certificates, for `wss://`. */
  readonly tls?: WebSocketConnectOptions['tls']
}

export async function openLink({ gateway, tls }: GatewayAddress): Promise<Link> {
  if (!gateway.startsWith('nats://')) return connectWebSocket(gateway, tls === undefined ? {} : { tls })
  // Loaded by those who use it.
  const { connectNats } = await import('./link/nats.ts')
  return connectNats({ url: gateway })
}
