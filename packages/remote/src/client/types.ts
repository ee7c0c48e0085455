/** How the functions of a node look to a client: the types of `client.call` and `client.stream`. */

import type { Contract, ContractFunctions } from '../contract/contract.ts'
import type { CallContext } from '../node/context.ts'
import type { Answer } from './many-nodes.ts'

// biome-ignore lint/suspicious/noExplicitAny: the constraint of any function; no value has this type
export type AnyFunction = (...args: any[]) => unknown

/**
 * The type of an object of functions, as nodes register them, or of a contract. Of an overloaded function the last signature
 * counts; generic parameters count as their constraints.
 */
// biome-ignore lint/suspicious/noExplicitAny: the constraint of an object of functions
export type Functions = { readonly [name: string]: any }

export type FunctionsOf<F> = F extends Contract<infer S> ? ContractFunctions<S> : F

/** Streams are given as any async source. A function receives an AsyncIterable: it declares that, not a ReadableStream. */
type Given<P> = 0 extends 1 & P
  ? P
  : P extends ReadableStream<unknown>
    ? never
    : P extends AsyncIterable<infer T>
      ? AsyncIterable<T> | ReadableStream<T>
      : P

type GivenAll<P extends readonly unknown[]> = { [I in keyof P]: Given<P[I]> }

/** `any` and `never` fit everything; they are no context. */
type IsContext<T> = 0 extends 1 & T ? false : [T] extends [never] ? false : [T] extends [CallContext] ? true : false

/** Parameters without the context that the node adds, which may be optional. */
type WithoutContext<P extends readonly unknown[]> =
  Required<P> extends readonly [...infer Rest, infer Last]
    ? IsContext<Last> extends true
      ? P extends readonly [...infer Before, unknown]
        ? Before
        : FirstOf<P, Rest>
      : P
    : P

/** The first parameters of `P`, as many as `N` has, optional where they are. */
type FirstOf<P extends readonly unknown[], N extends readonly unknown[]> = N extends readonly [unknown, ...infer M]
  ? P extends readonly [infer H, ...infer T]
    ? [H, ...FirstOf<T, M>]
    : P extends readonly [(infer H)?, ...infer T]
      ? [H?, ...FirstOf<T, M>]
      : []
  : []

export type ArgsOf<F extends AnyFunction> = GivenAll<WithoutContext<Parameters<F>>>

/** The item of a stream; anything else is wrapped, so that a stream can be told from a value. */
type Streamed<R> =
  R extends AsyncIterable<infer T>
    ? { readonly item: T }
    : R extends ReadableStream<infer T>
      ? { readonly item: T }
      : R extends Iterator<infer T, unknown, never>
        ? { readonly item: T }
        : { readonly value: R }

type IsAny<T> = 0 extends 1 & T ? true : false

/** One value, or all items of a stream as a list. */
export type ResultOf<F extends AnyFunction> =
  IsAny<ReturnType<F>> extends true ? ReturnType<F> : Listed<Streamed<Awaited<ReturnType<F>>>>

type Listed<S> = S extends { readonly item: infer T } ? T[] : S extends { readonly value: infer R } ? R : never

/** An item of a stream; a plain function gives its value as the only one. */
export type ItemOf<F extends AnyFunction> =
  IsAny<ReturnType<F>> extends true ? ReturnType<F> : Each<Streamed<Awaited<ReturnType<F>>>>

type Each<S> = S extends { readonly item: infer T } ? T : S extends { readonly value: infer R } ? R : never

export type Calls<F extends Functions> = {
  readonly [N in keyof F as F[N] extends AnyFunction ? N : never]: (...args: ArgsOf<F[N]>) => Promise<ResultOf<F[N]>>
}

export type Streams<F extends Functions> = {
  readonly [N in keyof F as F[N] extends AnyFunction ? N : never]: (...args: ArgsOf<F[N]>) => RemoteStream<ItemOf<F[N]>>
}

export type Broadcasts<F extends Functions> = {
  readonly [N in keyof F as F[N] extends AnyFunction ? N : never]: (
    ...args: ArgsOf<F[N]>
  ) => Promise<readonly Answer<ResultOf<F[N]>>[]>
}

/** Items of a remote stream, in order. Leaving the loop, or `cancel`, ends the producer: its `finally` runs. */
export interface RemoteStream<T> extends AsyncIterableIterator<T> {
  cancel(): Promise<void>
}
