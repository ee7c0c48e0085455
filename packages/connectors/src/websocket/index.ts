/** WebSockets as source and sink: `@millrace/connectors/websocket`. */
export type { PeerOptions } from './peers.ts'
export { type WebSocketIngestOptions, webSocketIngest } from './websocket-ingest.ts'
