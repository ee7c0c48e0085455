/**
 * A snapshot of a hosted operator: what a checkpoint holds of it. State is kept as a checkpoint keeps it, as the changes
 * of every snapshot so far, so that an entry changed in place without `set` is lost here too.
 */
import { deserialize, serialize } from 'node:v8'

export interface HostSnapshot {
  /** Sections restored from, the same in every instance that was restored from them. */
  readonly base: readonly Uint8Array[]
  /** Sections of what changed since. */
  readonly delta: readonly Uint8Array[]
  readonly watermarks: readonly number[]
  readonly idle: readonly boolean[]
  readonly watermark: number
  readonly watermarkOut: number
  readonly now: number
}

export function saveHostSnapshot(snapshot: HostSnapshot): Uint8Array {
  return serialize(snapshot)
}

export function loadHostSnapshot(bytes: Uint8Array): HostSnapshot {
  return deserialize(bytes) as HostSnapshot
}

/** Sections of the instances of one step, in the order in which they apply. */
export function sectionsOf(snapshots: readonly HostSnapshot[]): Uint8Array[] {
  return [...(snapshots[0]?.base ?? []), ...snapshots.flatMap((snapshot) => snapshot.delta)]
}
