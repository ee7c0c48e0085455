/** Load that is the same for every system under measurement: callers that call again and again, and one reader of a stream. */
import { Latencies, type Percentiles } from '../lib/histogram.ts'
import { machineMs } from './functions.ts'

export interface Calls extends Percentiles {
  readonly perS: number
}

export interface Items {
  readonly perS: number
  /** From the request to the first item. */
  readonly firstMs: number
}

const WARM_MS = 500

/** `callers` at once for `ms`, each with its next call when it has the answer to the one before. */
export async function measureCalls(
  call: (value: number) => Promise<unknown>,
  callers: number,
  ms: number,
  onWarm = (): void => {},
): Promise<Calls> {
  await keepCalling(call, callers, Math.min(ms, WARM_MS), new Latencies())
  const latencies = new Latencies()
  onWarm()
  const startMs = machineMs()
  await keepCalling(call, callers, ms, latencies)
  const percentiles = latencies.percentiles()
  return { ...percentiles, perS: (percentiles.count / (machineMs() - startMs)) * 1000 }
}

async function keepCalling(
  call: (value: number) => Promise<unknown>,
  callers: number,
  ms: number,
  latencies: Latencies,
): Promise<void> {
  const untilMs = machineMs() + ms
  const caller = async (value: number): Promise<void> => {
    for (let now = machineMs(); now < untilMs; ) {
      await call(value)
      const done = machineMs()
      latencies.record(done - now)
      now = done
    }
  }
  await Promise.all(Array.from({ length: callers }, (_, i) => caller(i)))
}

/** One stream, read as fast as it comes, after a tenth of it to warm up. @throws Error when an item is missing or wrong */
export async function measureItems(
  open: (count: number) => AsyncIterable<unknown>,
  count: number,
  expected: (i: number) => unknown,
  onWarm = (): void => {},
): Promise<Items> {
  await readItems(open(Math.ceil(count / 10)), Math.ceil(count / 10), expected)
  onWarm()
  return readItems(open(count), count, expected)
}

async function readItems(
  stream: AsyncIterable<unknown>,
  count: number,
  expected: (i: number) => unknown,
): Promise<Items> {
  const startMs = machineMs()
  let firstMs = 0
  let received = 0
  for await (const item of stream) {
    if (received === 0) firstMs = machineMs() - startMs
    if (item !== expected(received)) throw new Error(`item ${received} is ${item}`)
    received++
  }
  if (received !== count) throw new Error(`${received} of ${count} items came`)
  return { perS: (count / (machineMs() - startMs)) * 1000, firstMs }
}
