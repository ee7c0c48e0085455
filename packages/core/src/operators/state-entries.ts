/**
 * Entries of one state of a `process` step: (key of the call, sub) -> value, with ttl. The handles are made of these.
 *
 * With a ttl, values are stored with the time of their last write, and reading compares it with the time of the call:
 * whether an entry is there depends on times alone. The table only cleans up behind that.
 */
import type { CanonicalKey } from '../batch/key.ts'
import { UsageError } from '../errors.ts'
import type { Codec, StateAccess, Table } from '../state/table.ts'
import { type Duration, positiveDurationMs } from '../time/duration.ts'

export type TtlTime = 'event' | 'processing'

export interface StateOptions<V> {
  /** An entry is gone this long after it was last written. Default: it stays until it is deleted. */
  readonly ttl?: Duration | { readonly after: Duration; readonly time: TtlTime }
  /** For values of one's own classes; plain data needs none. */
  readonly codec?: Codec<V>
  /** Version of the values' shape, 0 to 255, where no codec is given; raise it with `migrate`. Default 0. */
  readonly version?: number
  /** Reads a value that an older version wrote. */
  readonly migrate?: (data: unknown, version: number) => V
}

/** What the handles need to know of the call in progress; `key` is undefined outside calls. */
export interface StateScope {
  readonly step: string
  key: CanonicalKey | undefined
  /** Event time of the record or timer. */
  time: number
  readonly now: () => number
}

interface Stamped<V> {
  at: number
  value: V
}

/** Stands in for an event time that is not known yet: the earliest a Date can hold. */
const earliest = -8.64e15

export class Entries<V> {
  readonly #scope: StateScope
  readonly #name: string
  readonly #plain: Table<V> | undefined
  readonly #stamped: Table<Stamped<V>> | undefined
  readonly #ttlMs: number
  readonly ttlTime: TtlTime

  constructor(scope: StateScope, state: StateAccess, name: string, options: StateOptions<V>) {
    this.#scope = scope
    this.#name = name
    const { ttl } = options
    this.ttlTime = typeof ttl === 'object' ? ttl.time : 'event'
    const codec = codecOf(options, scope.step, name)
    if (ttl === undefined) {
      this.#ttlMs = Number.POSITIVE_INFINITY
      this.#plain = state.table(`state.${name}`, codec === undefined ? {} : { codec })
      return
    }
    this.#ttlMs = positiveDurationMs(typeof ttl === 'object' ? ttl.after : ttl, `ttl of state "${name}"`)
    this.#stamped = state.table(`state.${name}`, { codec: stampedCodec(codec), ttlMs: this.#ttlMs })
  }

  get hasTtl(): boolean {
    return this.#stamped !== undefined
  }

  /** Key of the call. @throws UsageError `STATE_OUTSIDE_CALL` */
  key(): CanonicalKey {
    if (this.#scope.key !== undefined) return this.#scope.key
    throw new UsageError(
      'STATE_OUTSIDE_CALL',
      `state "${this.#name}" was used outside a call of the step's handlers, where there is no key. Use it in onRecord, onTimer or onEnd, before they return, not in create, in a callback or after await.`,
      { step: this.#scope.step, data: { state: this.#name } },
    )
  }

  get(sub?: CanonicalKey): V | undefined {
    if (this.#plain !== undefined) return this.#plain.get(this.key(), sub)
    const entry = this.#stamped?.get(this.key(), sub)
    return entry !== undefined && this.#isLive(entry) ? entry.value : undefined
  }

  has(sub?: CanonicalKey): boolean {
    if (this.#plain !== undefined) return this.#plain.has(this.key(), sub)
    const entry = this.#stamped?.get(this.key(), sub)
    return entry !== undefined && this.#isLive(entry)
  }

  /** What is stored, also when its ttl has passed. */
  peek(sub?: CanonicalKey): V | undefined {
    return this.#plain === undefined ? this.#stamped?.get(this.key(), sub)?.value : this.#plain.get(this.key(), sub)
  }

  set(value: V, sub?: CanonicalKey): void {
    const key = this.key()
    if (this.#plain !== undefined) {
      this.#plain.set(key, value, sub)
      return
    }
    const now = Math.max(this.#time(), earliest)
    let entry = this.#stamped?.get(key, sub)
    if (entry === undefined) entry = { at: now, value }
    else {
      entry.at = Math.max(now, entry.at)
      entry.value = value
    }
    this.#stamped?.set(key, entry, sub, entry.at)
  }

  delete(sub?: CanonicalKey): boolean {
    const wasLive = this.has(sub)
    ;(this.#plain ?? this.#stamped)?.delete(this.key(), sub)
    return wasLive
  }

  /** Live entries of the call's key. */
  all(): [sub: CanonicalKey, value: V][] {
    const key = this.key()
    if (this.#plain !== undefined) return [...(this.#plain.group(key) ?? [])]
    const out: [CanonicalKey, V][] = []
    for (const [sub, entry] of this.#stamped?.group(key) ?? []) if (this.#isLive(entry)) out.push([sub, entry.value])
    return out
  }

  clear(): void {
    ;(this.#plain ?? this.#stamped)?.deleteGroup(this.key())
  }

  keys(): Iterable<CanonicalKey> {
    return (this.#plain ?? this.#stamped)?.outers() ?? []
  }

  expire(now: number): void {
    this.#stamped?.expire(now)
  }

  #time(): number {
    return this.ttlTime === 'event' ? this.#scope.time : this.#scope.now()
  }

  #isLive(entry: Stamped<V>): boolean {
    return this.#time() < entry.at + this.#ttlMs
  }
}

function codecOf<V>(options: StateOptions<V>, step: string, name: string): Codec<V> | undefined {
  const { codec, version, migrate } = options
  if (version === undefined && migrate === undefined) return codec
  if (codec !== undefined || version === undefined || migrate === undefined) {
    const problem =
      codec === undefined ? 'has only one of version and migrate' : 'has a codec beside version or migrate'
    throw new UsageError(
      'STATE_VERSION',
      `state "${name}" ${problem}. Give { version, migrate } together, or a codec, which has both.`,
      { step, data: { state: name } },
    )
  }
  return {
    name: 'json',
    version,
    encode: (value) => value,
    decode: (data, from) => (from === version ? (data as V) : migrate(data, from)),
  }
}

/** Another name than the plain codec's: giving a state a ttl, or taking it away, is a change that is not read silently. */
function stampedCodec<V>(codec: Codec<V> | undefined): Codec<Stamped<V>> {
  return {
    name: `${codec?.name ?? 'json'}+ttl`,
    version: codec?.version ?? 0,
    encode: ({ at, value }) => ({ at, value: codec === undefined ? value : codec.encode(value) }),
    decode(data, version) {
      const { at, value } = data as Stamped<unknown>
      return { at, value: codec === undefined ? (value as V) : codec.decode(value, version) }
    },
  }
}
