/** HTTP as source and sink: `@millrace/connectors/http`. */
export { type HttpIngestOptions, httpIngest } from './http-ingest.ts'
export type { ListenAddress, ListenOptions } from './listen.ts'
