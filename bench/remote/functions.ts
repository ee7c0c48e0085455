/** What the nodes of the measurements offer. The peers offer the same under the same names. */
import { type CallContext, callContext } from '@millrace/remote'

/** Milliseconds of the machine's monotonic clock, which all of its processes share. */
export function machineMs(): number {
  const [s, ns] = process.hrtime()
  return s * 1e3 + ns / 1e6
}

/** An item of 1 KiB. */
export const KIB_TEXT = 'x'.repeat(1024)
let produced = 0

export const functions = {
  echo: (value: unknown) => value,

  *gen(items: number) {
    for (let i = 0; i < items; i++) yield i
  },

  async *agen(items: number) {
    for (let i = 0; i < items; i++) yield i
  },

  *texts(items: number) {
    for (let i = 0; i < items; i++) yield KIB_TEXT
  },

  /** When each item was yielded. */
  async *stamps(items: number, everyMs: number) {
    for (let i = 0; i < items; i++) {
      if (i > 0) await wait(everyMs)
      yield machineMs()
    }
  },

  size: (bytes: Uint8Array) => bytes.length,
  blob: (bytes: number) => new Uint8Array(bytes),

  /** Never comes to its end. */
  hang: () => new Promise<never>(() => {}),

  async *counted(items: number) {
    for (produced = 0; produced < items; produced++) yield KIB_TEXT
  },
  produced: () => produced,

  /** Samples by the clock: sample `i` is due, and stamped, at `i / rate` s. What fell due meanwhile comes at once. */
  async *sensor(rate: number, seconds: number) {
    const startMs = machineMs()
    const window: number[] = []
    for (let i = 0; i < rate * seconds; i++) {
      const dueMs = startMs + (i * 1000) / rate
      if (machineMs() < dueMs) await wait(dueMs - machineMs())
      yield sample(i, dueMs, window)
    }
  },

  /** A stream that takes a whole core: a batch is about `batchMs` of arithmetic. */
  *inference(batchMs: number) {
    const { signal } = callContext() as CallContext
    for (let batch = 1; !signal.aborted; batch++) yield { batch, score: busy(batchMs) }
  },
}

/** For `serveFile`. */
export default functions

export interface Sample {
  readonly sample_id: number
  /** When it was due, `machineMs`. */
  readonly timestamp: number
  readonly readings: { readonly temperature: number }
  readonly statistics: { readonly mean: number; readonly std: number; readonly min: number; readonly max: number }
  readonly health_status: string
  readonly node_id: string
}

const WINDOW = 10

function sample(i: number, timestamp: number, window: number[]): Sample {
  const value = 25 + 0.5 * Math.sin(i * 12.9898)
  window.push(value)
  if (window.length > WINDOW) window.shift()
  const mean = window.reduce((sum, v) => sum + v, 0) / window.length
  const std = Math.sqrt(window.reduce((sum, v) => sum + (v - mean) ** 2, 0) / window.length)
  return {
    sample_id: i + 1,
    timestamp,
    readings: { temperature: value },
    statistics: { mean, std, min: Math.min(...window), max: Math.max(...window) },
    health_status: 'healthy',
    node_id: 'data-node',
  }
}

/** Whole milliseconds up: a timer that fires early would only be set again. */
function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.ceil(ms)))
}

function busy(ms: number): number {
  const until = machineMs() + ms
  let sum = 0
  while (machineMs() < until) for (let i = 0; i < 10_000; i++) sum += Math.sqrt(i)
  return sum
}
