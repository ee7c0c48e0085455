/**
 * The manifest: the decision record of a commit. What it names happened; what it does not name did not.
 *
 * A manifest file is one line of tagged JSON and one line with its crc32 in hex.
 */
import { crc32 } from '../batch/bytes.ts'
import { KEY_GROUPS } from '../batch/key.ts'
import type { Position } from '../connector.ts'
import { OperationalError } from '../errors.ts'
import { parse, stringify } from '../state/codec.ts'
import type { StateIdentity } from '../state/identity.ts'
import type { FileRef } from './frames.ts'

export const MANIFEST_FORMAT = 1

export interface PartitionCommit {
  readonly position: Position
  /** Null: none yet. */
  readonly watermark: number | null
  readonly rows: number
  readonly isIdle?: boolean
}

export interface SinkCommit {
  /** State of the target before and after this epoch's bytes are published. */
  readonly before: Position | undefined
  readonly after: Position | undefined
  /** Bytes staged in `Manifest.staged` for this sink; 0: nothing to publish. */
  readonly bytes: number
}

/** What the runtime decides on; the rest of the manifest is the store's. */
export interface Commit {
  readonly planHash: string
  readonly epoch: number
  readonly workers: number
  /** ms since the epoch, from the clock port. */
  readonly timeMs: number
  /** Source step -> partition -> where it is. */
  readonly sources: Readonly<Record<string, Readonly<Record<string, PartitionCommit>>>>
  readonly state: readonly StateIdentity[]
  /** Staged sinks by step. */
  readonly sinks: Readonly<Record<string, SinkCommit>>
  readonly savepoint?: string
  /** Whatever else must move with the commit: counters, timers of the runtime. Plain data. */
  readonly extra?: Readonly<Record<string, unknown>>
}

export interface Manifest extends Commit {
  readonly format: number
  readonly flow: string
  readonly keyGroups: number
  /** Number of the manifest file; rises by one per commit. */
  readonly sequence: number
  /** Merged images, then changes since, in the order in which they apply. */
  readonly base: readonly FileRef[]
  readonly logs: readonly FileRef[]
  /** Staged output of this epoch, in worker order. */
  readonly staged: readonly FileRef[]
}

/** Files a manifest needs. */
export function filesOf(manifest: Manifest): FileRef[] {
  return [...manifest.base, ...manifest.logs, ...manifest.staged]
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  const line = Buffer.from(`${stringify(manifest)}\n`, 'utf8')
  return Buffer.concat([line, Buffer.from(`${hex(crc32(line))}\n`, 'latin1')])
}

/**
 * The manifest, or undefined when the bytes are torn or damaged.
 * @throws OperationalError `CHECKPOINT_FORMAT` when it is whole but of another format
 */
export function decodeManifest(bytes: Uint8Array): Manifest | undefined {
  const end = bytes.indexOf(10) + 1
  const tail = Buffer.from(bytes.subarray(end)).toString('latin1')
  if (end === 0 || tail !== `${hex(crc32(bytes.subarray(0, end)))}\n`) return undefined
  const manifest = parse(Buffer.from(bytes.subarray(0, end)).toString('utf8')) as Manifest
  if (manifest.format !== MANIFEST_FORMAT || manifest.keyGroups !== KEY_GROUPS) {
    throw new OperationalError(
      'CHECKPOINT_FORMAT',
      `the state folder has format ${manifest.format} with ${manifest.keyGroups} key groups; this version of millrace reads format ${MANIFEST_FORMAT} with ${KEY_GROUPS}. Run the version that wrote it, or start with another state folder.`,
      { data: { format: manifest.format, keyGroups: manifest.keyGroups } },
    )
  }
  return manifest
}

function hex(crc: number): string {
  return crc.toString(16).padStart(8, '0')
}
