/** Rows from the clock, from a function, or from what a program has at hand: `@millrace/connectors/generate`. */
export { type EveryOptions, every } from './every.ts'
export { type FromAsyncIterableOptions, fromAsyncIterable } from './from-async-iterable.ts'
export { type FromIterableOptions, fromIterable } from './from-iterable.ts'
export { type GenerateOptions, generate } from './generate.ts'
export type { Missed } from './indexed-reader.ts'
