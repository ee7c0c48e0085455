/**
 * `@millrace/remote`: functions and streams of compute nodes behind a gateway. Nodes dial out and register functions;
 * clients call them, and read several streams at once; one that fails does not disturb another.
 */
import { type Client, type ClientOptions, connectClient } from './client/client.ts'
import type { Functions } from './client/types.ts'
import type { Link } from './link/link.ts'
import { connectWebSocket, type WebSocketConnectOptions } from './link/websocket.ts'
import { ComputeNode, type NodeOptions } from './node/compute-node.ts'

export type { CallOptions, Client, ClientOptions } from './client/client.ts'
export type { ArgsOf, Calls, Functions, ItemOf, RemoteStream, ResultOf, Streams } from './client/types.ts'
export type { TokenRights } from './gateway/access.ts'
export { type Gateway, startGateway } from './gateway/gateway.ts'
export type { GatewayOptions, GatewayStats, NodeStatus } from './gateway/gateway-core.ts'
export { ComputeNode, type FunctionOptions, type NodeFunction, type NodeOptions } from './node/compute-node.ts'
export { type CallContext, callContext } from './node/context.ts'
export type { Policy, Tags } from './protocol/messages.ts'
export { REMOTE_CODES, type RemoteCode, RemoteError, type RemoteErrorDetails } from './remote-error.ts'

export interface GatewayAddress {
  /** `ws://host:port`, `wss://host:port`, or `nats://host:port` for any gateway of a NATS cluster. */
  readonly gateway: string
  /** Certificates, for `wss://`. */
  readonly tls?: WebSocketConnectOptions['tls']
}

/**
 * A node of a gateway. Register functions, then `start()`.
 * @throws RemoteError `INVALID_ARGUMENT` for an id that is no name
 */
export function computeNode({ gateway, tls, ...options }: NodeOptions & GatewayAddress): ComputeNode {
  return new ComputeNode(gateway, () => openLink(gateway, tls), options)
}

/**
 * Connects to a gateway. `F` is the type of the object of functions that nodes register: calls and streams are typed by it.
 * @throws RemoteError `GATEWAY_UNREACHABLE`, `UNAUTHENTICATED`, `PERMISSION_DENIED`
 */
export function connect<F extends Functions = Functions>({
  gateway,
  tls,
  ...options
}: ClientOptions & GatewayAddress): Promise<Client<F>> {
  return connectClient<F>(gateway, () => openLink(gateway, tls), options)
}

async function openLink(gateway: string, tls: WebSocketConnectOptions['tls']): Promise<Link> {
  if (!gateway.startsWith('nats://')) return connectWebSocket(gateway, tls === undefined ? {} : { tls })
  const { connectNats } = await import('./link/nats.ts')
  return connectNats({ url: gateway })
}
