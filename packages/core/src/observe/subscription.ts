/**
 * One reader of the event stream, with a bounded queue: a slow reader loses messages and is told so, the flow never
 * waits for it.
 *
 * Invariants:
 *  B1  `seq` counts delivered messages without gaps.
 *  B2  At most `queueMessages` wait. Of samples, sources and balances only the newest waits; commits are merged.
 */
import type { CommitMessage, ObserveBody, ObserveMessage, ObserveType } from './contract.ts'

/** Messages that replace an older one of their type: each says everything. */
const LATEST_WINS: ReadonlySet<ObserveType> = new Set(['sample', 'sources', 'balance', 'plan'])

/** Default bound of a queue. */
export const QUEUE_MESSAGES = 256

interface Waiting {
  body: ObserveBody
  at: number
}

export class Subscription implements AsyncIterable<ObserveMessage> {
  readonly #queueMessages: number
  readonly #onClose: (subscription: Subscription) => void
  readonly #types: ReadonlySet<ObserveType> | undefined
  readonly #waiting: Waiting[] = []
  readonly #lost = new Map<ObserveType, number>()
  #seq = 0
  #resolve: (() => void) | undefined
  #isClosed = false

  constructor(
    onClose: (subscription: Subscription) => void,
    types: readonly ObserveType[] | undefined,
    queueMessages = QUEUE_MESSAGES,
  ) {
    this.#onClose = onClose
    this.#types = types === undefined ? undefined : new Set(types)
    this.#queueMessages = queueMessages
  }

  /** Takes a message for later delivery. O(queue) for the types that replace, else O(1). */
  push(body: ObserveBody, at: number): void {
    if (this.#isClosed || (this.#types !== undefined && !this.#types.has(body.type))) return
    const before = LATEST_WINS.has(body.type) || body.type === 'commit' ? this.#find(body.type) : -1
    if (before >= 0 && body.type === 'commit') {
      this.#waiting[before] = { body: mergeCommits(this.#waiting[before].body as CommitMessage, body), at }
    } else if (before >= 0) {
      this.#waiting.splice(before, 1)
      this.#waiting.push({ body, at })
      this.#lose(body.type)
    } else {
      this.#waiting.push({ body, at })
      if (this.#waiting.length > this.#queueMessages) {
        const oldest = this.#waiting.findIndex((w) => w.body.type !== 'hello' && w.body.type !== 'plan')
        const [lost] = this.#waiting.splice(Math.max(0, oldest), 1)
        this.#lose(lost.body.type)
      }
    }
    this.#resolve?.()
  }

  /** The next message that waits, or undefined. */
  take(): ObserveMessage | undefined {
    const lost = this.#lost.entries().next().value
    const next = this.#waiting[0]
    if (lost !== undefined) {
      const [what, n] = lost
      this.#lost.delete(what)
      const at = next?.at ?? 0
      return { type: 'dropped', seq: ++this.#seq, at, what, n, because: 'slow reader' }
    }
    if (next === undefined) return undefined
    this.#waiting.shift()
    return envelope(next.body, ++this.#seq, next.at)
  }

  /** Ends the iteration after what waits. Calling it again does nothing. */
  end(): void {
    this.#isClosed = true
    this.#resolve?.()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<ObserveMessage> {
    try {
      for (;;) {
        const message = this.take()
        if (message !== undefined) yield message
        else if (this.#isClosed) return
        else {
          await new Promise<void>((resolve) => {
            this.#resolve = resolve
          })
          this.#resolve = undefined
        }
      }
    } finally {
      this.end()
      this.#onClose(this)
    }
  }

  #find(type: ObserveType): number {
    return this.#waiting.findLastIndex((w) => w.body.type === type)
  }

  #lose(type: ObserveType): void {
    this.#lost.set(type, (this.#lost.get(type) ?? 0) + 1)
  }
}

export function envelope(body: ObserveBody, seq: number, at: number): ObserveMessage {
  const { type, ...rest } = body
  return { type, seq, at, ...rest } as ObserveMessage
}

export function mergeCommits(first: CommitMessage, second: CommitMessage): CommitMessage {
  const phases: Record<string, number> = { ...first.phases }
  for (const [phase, ms] of Object.entries(second.phases)) phases[phase] = Math.max(phases[phase] ?? 0, ms)
  return { ...second, n: first.n + second.n, bytes: first.bytes + second.bytes, phases }
}
