/** What a snapshot of a hosted operator holds beside its tables. */
import { deserialize, serialize } from 'node:v8'

export interface HostSnapshot {
  readonly state: Uint8Array
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
