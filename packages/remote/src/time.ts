/** Time as the protocol sees it: passed in, so that tests and simulations own it. */
export interface Time {
  /** Monotonic, ms. */
  now(): number
  /** Calls `fn` once after about `ms`, never after Infinity; the result cancels it. A timer keeps the process alive until then. */
  after(ms: number, fn: () => void): () => void
  /** Calls `fn` when the events at hand have been handled. */
  soon(fn: () => void): void
  /** 0 <= x < 1 */
  random(): number
}

/** The clock of this process, in Node and in browsers. */
export const realTime: Time = {
  now: () => performance.now(),
  after(ms, fn) {
    if (ms === Number.POSITIVE_INFINITY) return () => {}
    let timer: ReturnType<typeof setTimeout>
    const wait = (leftMs: number): void => {
      timer = setTimeout(() => (leftMs > MS_MAX ? wait(leftMs - MS_MAX) : fn()), Math.min(leftMs, MS_MAX))
    }
    wait(ms)
    return () => clearTimeout(timer)
  },
  soon: typeof setImmediate === 'function' ? (fn) => void setImmediate(fn) : soonByMessage(),
  random: Math.random,
}

/** Browsers hold timers of zero back: by 4 ms, in a tab that is not seen by a second. Messages they deliver at once. */
function soonByMessage(): (fn: () => void) => void {
  const due: (() => void)[] = []
  const { port1, port2 } = new MessageChannel()
  port1.addEventListener('message', () => due.shift()?.())
  port1.start()
  return (fn) => {
    due.push(fn)
    port2.postMessage(null)
  }
}

/** Longer waits overflow the platform's timers; they are made of several. */
const MS_MAX = 2 ** 31 - 1
