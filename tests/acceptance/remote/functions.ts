/** The functions of the acceptance cases, for `millrace node`. The node's id is in MILLRACE_NODE. */
import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { callContext } from '@millrace/remote'

const counted = { n: 0, closed: false, ran: 0 }

/** What a case can look at when the node itself cannot be asked any more. */
function mark(text: string): void {
  const file = process.env.MILLRACE_MARKS
  if (file !== undefined) appendFileSync(file, `${text} ${Date.now()}\n`)
}

export default {
  echo: (value: unknown) => value,
  checked: (value: string) => value,
  whoami: () => process.env.MILLRACE_NODE,
  /** Slow on the node that MILLRACE_SLOW_MS says so of. */
  async work() {
    await sleep(Number(process.env.MILLRACE_SLOW_MS ?? 5))
    return process.env.MILLRACE_NODE
  },

  *gen(n: number) {
    for (let i = 0; i < n; i++) yield i
  },
  async *agen(n: number) {
    for (let i = 0; i < n; i++) yield i
  },
  async *gen_none(n: number) {
    for (let i = 0; i < n; i++) yield null
  },

  async asleep(seconds: number) {
    await sleep(seconds * 1000)
    return 'slept'
  },
  async asleep_mark(seconds: number) {
    mark('started')
    try {
      await sleep(seconds * 1000, undefined, { signal: callContext()?.signal })
      mark('finished')
    } catch (error) {
      mark('aborted')
      throw error
    }
  },
  async *slow_agen(n: number, seconds: number) {
    for (let i = 0; i < n; i++) {
      await sleep(seconds * 1000)
      yield i
    }
  },

  async *agen_count(n: number, bytes: number) {
    counted.n = 0
    counted.closed = false
    const text = 'x'.repeat(bytes)
    try {
      for (let i = 0; i < n; i++) {
        counted.n++
        yield { i, text }
      }
    } finally {
      counted.closed = true
    }
  },
  async *agen_count_slow(n: number, seconds: number) {
    counted.n = 0
    counted.closed = false
    try {
      for (let i = 0; i < n; i++) {
        await sleep(seconds * 1000)
        counted.n++
        yield i
      }
    } finally {
      counted.closed = true
      mark('closed')
    }
  },
  progress: () => ({ ...counted }),

  boom() {
    throw new TypeError('boom from node')
  },
  async *agen_boom(n: number) {
    for (let i = 0; i < n; i++) yield i
    throw new Error('boom from node')
  },

  /** Computes `stepMs` for each item and never waits. */
  *busy(seconds: number, stepMs: number) {
    const end = Date.now() + seconds * 1000
    for (let i = 0; Date.now() < end; i++) {
      const until = Date.now() + stepMs
      while (Date.now() < until) Math.sqrt(i)
      yield { i, at: Date.now() }
    }
  },
  /** Computes on whatever happens. */
  *stuck(seconds: number) {
    const end = Date.now() + seconds * 1000
    while (Date.now() < end) Math.sqrt(end)
    yield 'done'
  },
  exit: () => process.exit(3),
  *exit_in_thread(): Generator<number> {
    yield 1
    process.exit(3)
  },
  thrown_later: () => new Promise(() => setTimeout(() => Promise.reject(new Error('nobody catches this')), 10)),

  polluted: (value: { __proto__?: unknown }) => ({
    keys: Object.keys(value),
    polluted: ({} as { polluted?: unknown }).polluted !== undefined,
  }),
  blob: (size: number) => new Uint8Array(size).map((_, i) => i % 256),
}

/** A Standard Schema of one text, as zod or valibot would make it. */
const oneText = {
  '~standard': {
    version: 1,
    vendor: 'by hand',
    validate: (args: unknown[]) =>
      typeof args[0] === 'string' ? { value: args } : { issues: [{ message: 'it must be a text', path: [0] }] },
  },
}

export const options = {
  checked: { input: oneText },
  whoami: { policy: 'round-robin' },
  work: { policy: 'least-in-flight' },
}
