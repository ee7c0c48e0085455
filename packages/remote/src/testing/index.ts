/** The public testing kit of remote nodes: `@millrace/remote/testing`. */

export { CLOSE, type Link, type LinkClosed, type LinkEvents } from '../link/link.ts'
export {
  type CutOptions,
  MemoryLink,
  MemoryNetwork,
  type MemoryNetworkOptions,
  type MemoryPeer,
  MemoryWire,
} from './memory-network.ts'
export { type TransportContractOptions, type TransportFixture, transportContract } from './transport-contract.ts'
