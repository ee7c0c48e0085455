/**
 * The language branch: words at irregular times, from a script, from lines of text, or from a speech recogniser. All of
 * them are a `WordFeed`; `language` makes a source of one.
 *
 * Words are pulled one at a time: the next is asked for when the last has been taken, so a feed that is faster than the
 * flow waits. They are not replayable: what was said is over.
 */
import type { Source, SourceBatch } from 'millrace/connector'
import type { WordRecord } from './records.ts'

export interface Utterance {
  readonly text: string
  /** When the words ended, ms since the epoch. Default: when they came. */
  readonly at?: number
}

/** What a feed is given: the clock of the flow, and when to stop. */
export interface FeedContext {
  now(): number
  /** Resolves after about `ms`, or at once when `signal` aborts. */
  wait(ms: number): Promise<void>
  readonly signal: AbortSignal
}

export interface WordFeed {
  /** For the plan: 'script', 'stdin'. */
  readonly kind: string
  /** Utterances in the order of their times; ends when there will be no more. */
  words(ctx: FeedContext): AsyncIterable<Utterance>
}

/**
 * Idleness must be seen soon after a word, else frames wait for words that do not come; later, looking seldom is enough.
 */
const LOOK_SOON_MS = 2
const LOOK_SELDOM_MS = 250
const SOON_FOR_MS = 50

export function language(feed: WordFeed, robot: string, now: () => number): Source<WordRecord> {
  return {
    kind: `vla.language.${feed.kind}`,
    bounded: false,
    replayable: false,
    describe: () => ({ robot }),
    partitions: () => ['0'],
    open(_partition, position, ctx) {
      const stop = new AbortController()
      const signal = AbortSignal.any([ctx.signal, stop.signal])
      const words = feed.words({ now, wait: (ms) => ctx.wait(ms), signal })[Symbol.asyncIterator]()
      let count = typeof position === 'number' ? position : 0
      let lastMs = now()
      let isAsked = false
      let answer: IteratorResult<Utterance> | undefined
      let failure: { readonly error: unknown } | undefined
      let arrived: () => void = () => {}
      // Listened to once, not at every look: a feed may be silent for days, and every listener would stay with it.
      const ask = (): void => {
        isAsked = true
        words.next().then(
          (result) => {
            answer = result
            arrived()
          },
          (error: unknown) => {
            failure = { error }
            arrived()
          },
        )
      }
      return {
        async read(): Promise<SourceBatch<WordRecord> | 'end'> {
          if (!isAsked) ask()
          if (answer === undefined && failure === undefined) {
            const lookMs = now() - lastMs < SOON_FOR_MS ? LOOK_SOON_MS : LOOK_SELDOM_MS
            const next = new Promise<void>((resolve) => {
              arrived = resolve
            })
            await Promise.race([next, ctx.wait(lookMs)])
          }
          if (failure !== undefined) throw failure.error
          if (answer === undefined) return { rows: [], next: count, caughtUp: true, at: () => count }
          if (answer.done === true) return 'end'
          const { text, at = now() } = answer.value
          answer = undefined
          isAsked = false
          lastMs = now()
          const first = count++
          return { rows: [{ robot, at, text }], next: count, caughtUp: true, at: () => first }
        },
        async close() {
          stop.abort()
          // A feed that ignores the signal is not waited for.
          words.return?.()?.catch(() => {})
        },
      }
    },
  }
}

export interface ScriptLine {
  /** ms after the start. */
  readonly afterMs: number
  readonly text: string
}

/** Says each line when it is time. `everyMs`: begins again after so long. */
export function script(lines: readonly ScriptLine[], everyMs?: number): WordFeed {
  return {
    kind: 'script',
    async *words({ now, wait, signal }) {
      const startMs = now()
      for (let round = 0; round === 0 || everyMs !== undefined; round++) {
        for (const { afterMs, text } of lines) {
          const at = startMs + round * (everyMs ?? 0) + afterMs
          while (now() < at) {
            if (signal.aborted) return
            await wait(Math.max(1, Math.ceil(at - now())))
          }
          if (signal.aborted) return
          yield { text, at }
        }
      }
    },
  }
}

/**
 * Lines of a script file: milliseconds after the start, a space, the words.
 * @throws Error naming the line that is none
 */
export function parseScript(text: string): ScriptLine[] {
  return text
    .split('\n')
    .map((line, i) => ({ line: line.trim(), number: i + 1 }))
    .filter(({ line }) => line !== '' && !line.startsWith('#'))
    .map(({ line, number }) => {
      const found = /^(\d+)\s+(\S.*)$/.exec(line)
      if (found !== null) return { afterMs: Number(found[1]), text: found[2] }
      throw new Error(`line ${number} of the script is ${JSON.stringify(line)}; it must be like: 1500 follow`)
    })
}

/** What the script of the example says: orders at irregular times, for a minute, then again. */
export const ORDERS: readonly ScriptLine[] = [
  { afterMs: 400, text: 'follow' },
  { afterMs: 1150, text: 'slowly' },
  { afterMs: 1700, text: 'follow' },
  { afterMs: 6230, text: 'faster' },
  { afterMs: 11_040, text: 'stop' },
  { afterMs: 12_700, text: 'follow' },
  { afterMs: 31_015, text: 'slower' },
  { afterMs: 31_900, text: 'follow' },
  { afterMs: 52_480, text: 'stop' },
  { afterMs: 55_333, text: 'faster' },
]
export const ORDERS_EVERY_MS = 60_000
