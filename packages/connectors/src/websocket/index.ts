/** WebSockets as source and sink: `@millrace/connectors/websocket`. */
export type { ListenAddress, ListenOptions } from '../http/listen.ts'
export type { SlowPolicy } from './outbox.ts'
export type { PeerOptions } from './peers.ts'
export { type WebSocketBroadcastOptions, webSocketBroadcast } from './websocket-broadcast.ts'
export { type WebSocketIngestOptions, webSocketIngest } from './websocket-ingest.ts'
