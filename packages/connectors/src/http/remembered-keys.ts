/**
 * Idempotency keys of the requests that came in last, kept with the position: a request that is sent again after its answer
 * was lost is recognised, also by the next start.
 *
 * Invariants:
 *  K1  A position's memo names every remembered request of which records lie before the position, and how many: all, or
 *      the first n where a commit cut the request in two.
 *  K2  Records of a request that lie before the position do not enter again when it is sent again under its key, as long
 *      as the key is among the last `keysMax`.
 */
import { createHash } from 'node:crypto'
import type { Position } from 'millrace/connector'

/** All records of a request. */
export const ALL = Number.POSITIVE_INFINITY

type Memo = readonly (string | readonly [digest: string, records: number])[]

export class RememberedKeys {
  readonly #keysMax: number
  /** How many records of each request have gone to the flow, oldest request first. */
  readonly #entered = new Map<string, number>()
  #memo: Memo | undefined

  constructor(keysMax: number, memo: Position | undefined) {
    this.#keysMax = keysMax
    for (const kept of (memo ?? []) as Memo) {
      if (typeof kept === 'string') this.#entered.set(kept, ALL)
      else this.#entered.set(kept[0], kept[1])
    }
  }

  /** Short, of one length, and nothing a client may have put into it. */
  static digest(key: string): string {
    return createHash('sha256').update(key).digest('base64url').slice(0, 22)
  }

  /** How many of the request's records have gone to the flow: 0, some, or ALL. */
  entered(digest: string): number {
    return this.#entered.get(digest) ?? 0
  }

  /** The oldest key beyond the limit is forgotten. */
  enter(digest: string, records: number): void {
    this.#entered.delete(digest)
    this.#entered.set(digest, records)
    if (this.#entered.size > this.#keysMax) {
      const [oldest] = this.#entered.keys()
      this.#entered.delete(oldest)
    }
    this.#memo = undefined
  }

  memo(): Position {
    this.#memo ??= [...this.#entered].map(([digest, records]) => (records === ALL ? digest : [digest, records]))
    return this.#memo
  }
}
