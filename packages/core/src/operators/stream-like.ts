/** What operators need to know of a stream's type: its node, and phantom types of its rows and key. */
import type { GraphNode } from '../graph/node.ts'

/** A keyed stream, seen from the operators. The `KeyedStream` class satisfies it. */
export interface KeyedLike<T = unknown, K = unknown> {
  readonly node: GraphNode
  /** Only for type inference; never set. */
  readonly _row?: T
  /** Only for type inference; never set. */
  readonly _key?: K
}

/** Row type of a stream. */
export type RowOf<S> = S extends { readonly _row?: infer T } ? T : never

/** Flattens an intersection, so that editors and errors show one object type. */
export type Simplify<T> = { [N in keyof T]: T[N] }
