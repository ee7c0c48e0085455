/**
 * `@millrace/remote`: functions and streams of compute nodes behind a gateway. Nodes dial out and register functions;
 * clients call them, and read several streams at once; one that fails does not disturb another.
 */
import { type GatewayAddress, openLink } from './address.ts'
import { type Client, type ClientOptions, connectClient } from './client/client.ts'
import type { Functions } from './client/types.ts'
import type { Contract } from './contract/contract.ts'
import { aliveLink } from './node/alive.ts'
import { ComputeNode, type NodeOptions } from './node/compute-node.ts'

export type { GatewayAddress } from './address.ts'
export type { CallOptions, Client, ClientOptions } from './client/client.ts'
export type { Answer } from './client/many-nodes.ts'
export type {
  ArgsOf,
  Broadcasts,
  Calls,
  Functions,
  FunctionsOf,
  ItemOf,
  RemoteStream,
  ResultOf,
  Streams,
} from './client/types.ts'
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
export type { FunctionFigures } from './gateway/function-figures.ts'
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
export { cpu, type FileFunctionOptions, fn } from './node/threads/function-options.ts'
export { type ServedFile, type ServeFileOptions, serveFile } from './node/threads/serve-file.ts'
export type { Policy, Tags } from './protocol/messages.ts'
export { REMOTE_CODES, type RemoteCode, RemoteError, type RemoteErrorDetails } from './remote-error.ts'

/**
 * A node of a gateway. Register functions, then `start()`.
 * @throws RemoteError `INVALID_ARGUMENT` for an id that is no name
 */
export function computeNode(options: NodeOptions & GatewayAddress): ComputeNode {
  const node = new ComputeNode(options.gateway, () => openLink(options), options)
  if (options.alive !== false && !options.gateway.startsWith('nats://')) {
    const { gateway, tls, log } = options
    const alive = aliveLink(tls === undefined ? { gateway } : { gateway, tls }, (message) => log?.('warn', message))
    node.onWelcome = alive.welcome
    void node.ended.then(alive.close)
  }
  return node
}

/**
 * Connects to a gateway. `F` is the type of the object of functions that nodes register, or of a contract: calls and streams
 * are typed by it. With `contract` the type is inferred, and arguments are checked before they are sent.
 * @throws RemoteError `GATEWAY_UNREACHABLE`, `UNAUTHENTICATED`, `PERMISSION_DENIED`
 */
export function connect<F extends Functions = Functions>(
  options: ClientOptions & GatewayAddress & { readonly contract?: F & Contract },
): Promise<Client<F>> {
  return connectClient<F>(options.gateway, () => openLink(options), options)
}
