/** The public testing kit: `millrace/testing`. */
export { arraySink } from './array-sink.ts'
export { arraySource, type ArraySourceOptions } from './array-source.ts'
