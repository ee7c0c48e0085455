/**
 * `millrace/host`: what programs that run other people's flows need beyond the public API, first of all the command
 * line. Not covered by the promise of the public API.
 */
export { decodeManifest as readSavepoint } from './checkpoint/manifest.ts'
export { isDataflow } from './dataflow.ts'
export { nodePorts } from './runtime/node-ports.ts'
