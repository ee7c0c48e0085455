/**
 * One clock for all threads of the process: ms since the epoch with fractions, monotonic. The wall clock is read once, by
 * the main thread; worker threads inherit the difference. A clock that somebody sets would bend every latency.
 */
const VARIABLE = 'VLA_CLOCK'

function monotonicMs(): number {
  const [s, ns] = process.hrtime()
  return s * 1e3 + ns / 1e6
}

process.env[VARIABLE] ??= String(Date.now() - monotonicMs())
const offsetMs = Number(process.env[VARIABLE])

export function nowMs(): number {
  return offsetMs + monotonicMs()
}
