/**
 * A sink that measures: how long before the callback got a row had something been due? Every worker writes its histogram
 * to the folder when it closes, since rows and histograms of worker threads cannot be reached from outside.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Sink } from 'millrace/connector'
import { nowMs } from './clock.ts'
import { Latencies } from './histogram.ts'

/** @param sinceMs when that which the row is the answer to was due, ms since the epoch; undefined: not measured */
export function latencySink<T>(folder: string, sinceMs: (row: T) => number | undefined): Sink<T> {
  return {
    kind: 'bench.latency',
    guarantee: 'at-least-once',
    describe: () => ({}),
    open: ({ step, instance }) => {
      const latencies = new Latencies()
      return {
        write(batch) {
          const now = nowMs()
          for (let i = 0; i < batch.length; i++) {
            const since = sinceMs(batch.row(i))
            if (since !== undefined) latencies.record(now - since)
          }
        },
        close: () => writeFileSync(join(folder, `${step}-${instance.index}.hdr`), latencies.encode()),
      }
    },
  }
}

/** What the sink of a step measured, over all workers. */
export function readLatencies(folder: string, step: string): Latencies {
  const all = new Latencies()
  for (const file of readdirSync(folder)) {
    if (file.startsWith(`${step}-`) && file.endsWith('.hdr')) {
      all.add(new Latencies(readFileSync(join(folder, file), 'utf8')))
    }
  }
  return all
}
