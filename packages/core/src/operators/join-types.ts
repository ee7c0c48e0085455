/** Words and row types that all joins share. */
import { UsageError } from '../errors.ts'
import type { WindowBounds } from '../window/types.ts'

/** 'inner': pairs. 'left': also left rows without a partner. 'outer': also right rows without one. */
export type JoinType = 'inner' | 'left' | 'outer'

/** What an inner join gives. */
export interface Pair<K, L, R> {
  readonly key: K
  readonly left: L
  readonly right: R
}

/** What a join of type `J` gives: a side that may miss is `undefined` then. */
export type JoinedRow<K, L, R, J extends JoinType> = J extends 'inner'
  ? Pair<K, L, R>
  : J extends 'left'
    ? Pair<K, L, R | undefined>
    : Pair<K, L | undefined, R | undefined>

/** What a window join of type `J` gives. */
export type WindowJoinedRow<K, L, R, J extends JoinType> = JoinedRow<K, L, R, J> & { readonly window: WindowBounds }

/** @throws UsageError `JOIN_TYPE` */
export function checkJoinType(name: string, type: JoinType = 'inner'): JoinType {
  if (type === 'inner' || type === 'left' || type === 'outer') return type
  throw new UsageError(
    'JOIN_TYPE',
    `join "${name}" has type ${JSON.stringify(type)}; it is 'inner', 'left' or 'outer'.`,
    { step: name },
  )
}
