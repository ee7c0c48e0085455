/**
 * `@millrace/remote`: functions and streams of compute nodes behind a gateway. Nodes dial out and register functions;
 * clients call them, and read several streams at once; one that fails does not disturb another.
 */
import { type Client, type ClientOptions, connectClient } from './client/client.ts'
import type { Functions } from './client/types.ts'
import { connectWebSocket, type WebSocketConnectOptions } from './link/websocket.ts'
import { ComputeNode, type NodeOptions } from './node/compute-node.ts'

export type { CallOptions, Client, ClientOptions } from './client/client.ts'
export type { ArgsOf, Calls, Functions, ItemOf, RemoteStream, ResultOf, Streams } from './client/types.ts'
export type { TokenRights } from './gateway/access.ts'
export {
  type Gateway,
  type GatewayOptions,
  type GatewayStats,
  type NodeStatus,
  startGateway,
} from './gateway/gateway.ts'
export { ComputeNode, type FunctionOptions, type NodeFunction, type NodeOptions } from './node/compute-node.ts'
export { type CallContext, callContext } from './node/context.ts'
export type { Policy, Tags } from './protocol/messages.ts'
export { REMOTE_CODES, type RemoteCode, RemoteError, type RemoteErrorDetails } from './remote-error.ts'

export interface GatewayAddress {
  /** `ws://host:port` or `wss://host:port`. */
  readonly gateway: string
  /** Certificates, for `wss://`. */
  readonly tls?: WebSocketConnectOptions['tls']
}

/**
 * A node of a gateway. Register functions, then `start()`.
 * @throws RemoteError `INVALID_ARGUMENT` for an id that is no name
 */
export function computeNode({ gateway, tls, ...options }: NodeOptions & GatewayAddress): ComputeNode {
  return new ComputeNode(gateway, () => connectWebSocket(gateway, tls === undefined ? {} : { tls }), options)
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
  return connectClient<F>(gateway, () => connectWebSocket(gateway, tls === undefined ? {} : { tls }), options)
}
