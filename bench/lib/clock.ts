/**
 * One clock for all threads of the process: milliseconds since the epoch with fractions, monotonic. The wall clock is
 * read once, by the main thread, which passes the difference on in the environment before threads start.
 */

const VARIABLE = 'MILLRACE_BENCH_CLOCK'

function monotonicMs(): number {
  const [s, ns] = process.hrtime()
  return s * 1e3 + ns / 1e6
}

process.env[VARIABLE] ??= String(Date.now() - monotonicMs())
const offsetMs = Number(process.env[VARIABLE])

export function nowMs(): number {
  return offsetMs + monotonicMs()
}
