/**
 * `@millrace/remote`: functions and streams of compute nodes behind a gateway. Nodes dial out and register functions;
 * clients call them, and read several streams at once; one that fails does not disturb another.
 */
import { type Client, type ClientOptions, connectClient } from './client/client.ts'
import type { Functions } from './client/types.ts'
import type { Contract } from './contract/contract.ts'
import type { Link } from './link/link.ts'
import { connectWebSocket, type WebSocketConnectOptions } from './link/websocket.ts'
import { ComputeNode, type NodeOptions } from './node/compute-node.ts'

export type { CallOptions, Client, ClientOptions } from './client/client.ts'
export type { ArgsOf, Calls, Functions, FunctionsOf, ItemOf, RemoteStream, ResultOf, Streams } from './client/types.ts'
export { streamOf } from './contract/arguments.ts'
export {
  type Contract,
  type ContractFunction,
  type ContractFunctions,
  type ContractOptions,
  type ContractSpec,
  defineContract,
  type FunctionSpec,
  type ImplementationOf,
} from './contract/contract.ts'
export type { InputOf, JsonSchema, OutputOf, SchemaOf } from './contract/schema.ts'
export type { TokenRights } from './gateway/access.ts'
export { type Gateway, startGateway } from './gateway/gateway.ts'
export type { GatewayOptions, GatewayStats, NodeStatus } from './gateway/gateway-core.ts'
export {
  ComputeNode,
  type FunctionOptions,
  type ImplementOptions,
  type NodeFunction,
  type NodeOptions,
} from './node/compute-node.ts'
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
 * Connects to a gateway. `F` is the type of the object of functions that nodes register, or of a contract: calls and streams
 * are typed by it. With `contract` the type is inferred, and arguments are checked before they are sent.
 * @throws RemoteError `GATEWAY_UNREACHABLE`, `UNAUTHENTICATED`, `PERMISSION_DENIED`
 */
export function connect<F extends Functions = Functions>({
  gateway,
  tls,
  ...options
}: ClientOptions & GatewayAddress & { readonly contract?: F & Contract }): Promise<Client<F>> {
  return connectClient<F>(gateway, () => openLink(gateway, tls), options)
}

async function openLink(gateway: string, tls: WebSocketConnectOptions['tls']): Promise<Link> {
  if (!gateway.startsWith('nats://')) return connectWebSocket(gateway, tls === undefined ? {} : { tls })
  const { connectNats } = await import('./link/nats.ts')
  return connectNats({ url: gateway })
}
