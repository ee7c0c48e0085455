/**
 * `@millrace/remote/flow`: remote nodes as parts of a flow. A remote stream is a source, a remote function is called per record, and rows
 * of a flow are served as a stream.
 */
export type { GatewayAddress } from '../address.ts'
export { type Remote, type RemoteOptions, remote } from './remote.ts'
export { type RemoteStreamOptions, remoteStream } from './remote-stream.ts'
export { type ServeStreamOptions, type StreamNode, serveStream } from './serve-stream.ts'
export type { SlowPolicy } from './subscriber.ts'
