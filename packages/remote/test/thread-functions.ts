/** Functions for tests of threads, for `serveFile`. */
import { appendFileSync } from 'node:fs'
import { threadId } from 'node:worker_threads'
import { type CallContext, cpu, fn } from '@millrace/remote'

let count = 0

export default {
  async *counting(n: number) {
    for (let i = 0; i < n; i++) yield ++count
  },
  counted: () => count,
  /** Not async: in the pool, with a `count` of its own. */
  *apart() {
    yield count
    yield threadId
  },
  /** Not async, and kept with the others by `options`. */
  *together() {
    yield count
  },
  thread: () => threadId,
  cpuThread: cpu(() => threadId),
  spin: cpu((ms: number) => {
    const end = Date.now() + ms
    while (Date.now() < end) Math.sqrt(end)
    return threadId
  }),
  one: fn({ concurrency: 1, thread: true, description: 'one at a time' }, (ms: number) => {
    const end = Date.now() + ms
    while (Date.now() < end) Math.sqrt(end)
  }),
  /** A byte in the file for each item that was made, and an F at the end. */
  *noted(file: string) {
    try {
      for (let i = 0; ; i++) {
        appendFileSync(file, '.')
        yield i
      }
    } finally {
      appendFileSync(file, 'F')
    }
  },
  async *ticks(n: number) {
    for (let i = 0; i < n; i++) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      yield i
    }
  },
  whereAmI: (_: null, context: CallContext) => [context.node, context.function],
  big: (bytes: Uint8Array) => bytes.length,
}

export const options = { together: { thread: false } }
