/** What a function is, by its form, and what it has returned. */
import type { FunctionKind } from '../protocol/messages.ts'
import { asyncIteratorOf } from '../session/pump.ts'
import type { NodeFunction } from './compute-node.ts'

const GeneratorFunction = Object.getPrototypeOf(function* () {}).constructor as unknown
const AsyncGeneratorFunction = Object.getPrototypeOf(async function* () {}).constructor as unknown

/** Of a function that has not run; one that returns a stream without being a generator is known as 'call'. */
export function kindOf(fn: NodeFunction): FunctionKind {
  return fn.constructor === GeneratorFunction || fn.constructor === AsyncGeneratorFunction ? 'stream' : 'call'
}

/** The iterator of a result that is a stream: of either kind of generator, of an async iterable, of a ReadableStream. */
export function iteratorOf(result: unknown): AsyncIterator<unknown> | Iterator<unknown> | undefined {
  const asynchronous = asyncIteratorOf(result)
  if (asynchronous !== undefined) return asynchronous
  // Lists, strings and maps can be iterated too; they are values.
  const isIterator =
    typeof result === 'object' &&
    result !== null &&
    typeof (result as { next?: unknown }).next === 'function' &&
    typeof (result as Partial<Iterable<unknown>>)[Symbol.iterator] === 'function'
  return isIterator ? (result as Iterator<unknown>) : undefined
}
