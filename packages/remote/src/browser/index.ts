/** `@millrace/remote/browser`: the client for web pages, without a module of Node. Contracts work here too. */
import { type Client, type ClientOptions, connectClient } from '../client/client.ts'
import type { Functions } from '../client/types.ts'
import type { Contract } from '../contract/contract.ts'
import { connectBrowser } from './browser-link.ts'

export type { CallOptions, Client, ClientOptions } from '../client/client.ts'
export type { Functions, RemoteStream } from '../client/types.ts'
export { streamOf } from '../contract/arguments.ts'
export { type Contract, type ContractSpec, defineContract } from '../contract/contract.ts'
export { REMOTE_CODES, type RemoteCode, RemoteError } from '../remote-error.ts'

/**
 * Connects a web page to a gateway, whose option `origins` must have the page's origin. `F` is the type of the object of
 * functions that nodes register, or of a contract.
 * @throws RemoteError `GATEWAY_UNREACHABLE`, `UNAUTHENTICATED`, `PERMISSION_DENIED`
 */
export function connect<F extends Functions = Functions>(
  options: ClientOptions & {
    /** `ws://host:port` or `wss://host:port` */
    readonly gateway: string
    readonly contract?: F & Contract
  },
): Promise<Client<F>> {
  return connectClient<F>(options.gateway, () => connectBrowser(options.gateway), options)
}
