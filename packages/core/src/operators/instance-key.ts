/**
 * Keys under which steps without a key keep their state, so that it is snapshotted and moved like keyed state.
 */
import { type CanonicalKey, keyGroupOf, ownerOfGroup } from '../batch/key.ts'

/** The one key of a step that sees a whole un-keyed stream (partitioning 'single'). Its key group is 0: worker 0's. */
export const WHOLE_STREAM: CanonicalKey = 0

/**
 * A key owned by this instance, for state that every instance of an un-keyed step has for itself; of instance 0 it is
 * WHOLE_STREAM. After a change of the number of instances, one of them finds the state of another beside its own.
 */
export function instanceKey(instance: { readonly index: number; readonly count: number }): CanonicalKey {
  let key = 0
  while (ownerOfGroup(keyGroupOf(key), instance.count) !== instance.index) key++
  return key
}
