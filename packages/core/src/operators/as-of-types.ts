/**
 * Types of as-of joins: `imu.asOf('fuse', { gps: { stream: gps, within: '500ms', required: true } })` gives rows whose
 * fields are known without an annotation.
 */
import type { Duration } from '../time/duration.ts'
import type { KeyedLike, RowOf, Simplify } from './stream-like.ts'

/**
 * What stands in for a side without a row within the tolerance.
 * 'last': the last row, however old. 'interpolate': between the rows before and after, linear in numeric fields.
 */
export type AsOfFill = 'last' | 'interpolate' | { readonly default: unknown }

/** One side of an as-of join. */
export interface AsOfSide<K = unknown> {
  readonly stream: KeyedLike<unknown, K>
  /** A row counts when it is at most this much older than the left one; with 'interpolate' also as much younger. */
  readonly within: Duration
  /** True: a left row without this side goes to the `unmatched` output. */
  readonly required?: boolean
  readonly fill?: AsOfFill
}

export type AsOfSides<K = unknown> = { readonly [name: string]: AsOfSide<K> }

/** Refuses the two names that the result uses itself. */
export type SideNames = { readonly key?: never; readonly left?: never }

/** Type of one side in the result. */
export type SideRow<S> = S extends { readonly stream: infer Stream }
  ? S extends { readonly required: true }
    ? RowOf<Stream>
    : S extends { readonly fill: { readonly default: infer D } }
      ? D extends RowOf<Stream>
        ? RowOf<Stream>
        : RowOf<Stream> | D
      : RowOf<Stream> | undefined
  : never

/** Output row of an as-of join: the key, the left row, and each side's row under its name. */
export type FusedRow<K, L, S> = Simplify<
  { readonly key: K; readonly left: L } & { readonly [N in keyof S]: SideRow<S[N]> }
>

/** `'watermark'`: deterministic. A duration: at the latest so long after the left row arrived. */
export type AsOfWait = 'watermark' | Duration

export interface AsOfJoinOptions {
  readonly wait?: AsOfWait
  /** Keeps decisions in state, so that a left row that is delivered again gets the same one. Only with a duration. */
  readonly record?: boolean
  /** Rows kept per side and key. */
  readonly maxPerKey?: number
}
