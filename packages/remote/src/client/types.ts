/** How the functions of a node look to a client: the types of `client.call` and `client.stream`. */
import type { CallContext } from '../node/context.ts'

/** What a parameter may be given as: streams may come as any async source. */
type Given<P> =
  P extends AsyncIterable<infer T>
    ? AsyncIterable<T> | ReadableStream<T>
    : P extends ReadableStream<infer T>
      ? AsyncIterable<T> | ReadableStream<T>
      : P

type GivenAll<P extends readonly unknown[]> = { [I in keyof P]: Given<P[I]> }

/** Parameters without the context that the node adds. */
type WithoutContext<P extends readonly unknown[]> = P extends readonly [...infer Rest, CallContext] ? Rest : P

// biome-ignore lint/suspicious/noExplicitAny: the constraint of any function; no value has this type
export type AnyFunction = (...args: any[]) => unknown

export type ArgsOf<F extends AnyFunction> = GivenAll<WithoutContext<Parameters<F>>>

type Item<R> =
  R extends AsyncIterable<infer T>
    ? T
    : R extends Iterator<infer T, unknown, never>
      ? T
      : R extends ReadableStream<infer T>
        ? T
        : R

/** One value, or all items of a stream as a list. */
export type ResultOf<F extends AnyFunction> =
  Awaited<ReturnType<F>> extends infer R
    ? R extends AsyncIterable<infer T>
      ? T[]
      : R extends Iterator<infer T, unknown, never>
        ? T[]
        : R extends ReadableStream<infer T>
          ? T[]
          : R
    : never

export type ItemOf<F extends AnyFunction> = Item<Awaited<ReturnType<F>>>

// biome-ignore lint/suspicious/noExplicitAny: the constraint of an object of functions
export type Functions = { readonly [name: string]: any }

export type Calls<F extends Functions> = {
  readonly [N in keyof F as F[N] extends AnyFunction ? N : never]: (...args: ArgsOf<F[N]>) => Promise<ResultOf<F[N]>>
}

export type Streams<F extends Functions> = {
  readonly [N in keyof F as F[N] extends AnyFunction ? N : never]: (...args: ArgsOf<F[N]>) => RemoteStream<ItemOf<F[N]>>
}

/** Items of a remote stream, in order. Leaving the loop, or `cancel`, ends the producer: its `finally` runs. */
export interface RemoteStream<T> extends AsyncIterableIterator<T> {
  cancel(): Promise<void>
}
