/** What a window join emits for one key and window: the cross product of its rows. */
import { type CanonicalKey, originalKey } from '../batch/key.ts'
import type { Output } from '../graph/operator.ts'
import type { WindowBounds } from '../window/types.ts'
import { RETRACTED, type TimeBuffer } from './join-buffer.ts'
import type { JoinType } from './join-types.ts'

/** Emits what one key has in one window: the cross product, or the lonely side where the type asks for it. */
export function emitJoined(
  out: Output,
  type: JoinType,
  key: CanonicalKey,
  left: TimeBuffer | undefined,
  right: TimeBuffer | undefined,
  window: WindowBounds,
): void {
  const userKey = originalKey(key)
  const time = window.end - 1
  if (left === undefined) {
    if (type !== 'outer' || right === undefined) return
    for (const row of right.rows) out.emit({ key: userKey, left: undefined, right: row, window }, time, key)
    return
  }
  if (right === undefined) {
    if (type === 'inner') return
    for (const row of left.rows) out.emit({ key: userKey, left: row, right: undefined, window }, time, key)
    return
  }
  for (let i = 0; i < left.rows.length; i++) {
    for (let j = 0; j < right.rows.length; j++) {
      const weight = ((left.flags[i] ^ right.flags[j]) & RETRACTED) === 0 ? 1 : -1
      out.emit({ key: userKey, left: left.rows[i], right: right.rows[j], window }, time, key, weight)
    }
  }
}
