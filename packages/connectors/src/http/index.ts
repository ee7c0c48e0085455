/** HTTP as source and sink: `@millrace/connectors/http`. */
export type { ClientOptions } from './call.ts'
export { type HttpIngestOptions, httpIngest } from './http-ingest.ts'
export { type HttpPollOptions, httpPoll, type PollPosition } from './http-poll.ts'
export { type HttpPostOptions, httpPost } from './http-post.ts'
export { type HttpStreamOptions, httpStream, type StreamPosition } from './http-stream.ts'
export type { ListenAddress, ListenOptions } from './listen.ts'
