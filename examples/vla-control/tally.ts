/** Counts of records by source, in memory that all threads share: the sink, in one worker, reports for all of them. */
import { getEnvironmentData, setEnvironmentData } from 'node:worker_threads'
import type { Source } from 'millrace'
import { changed } from './wrap-source.ts'

export interface Tally {
  readonly frames: number
  readonly readings: number
  readonly words: number
}

const KEY = 'vla-control.tally'
const NAMES = ['frames', 'readings', 'words'] as const

// The main thread makes the memory; worker threads are given it.
const given = getEnvironmentData(KEY)
const memory = given instanceof SharedArrayBuffer ? given : new SharedArrayBuffer(8 * NAMES.length)
setEnvironmentData(KEY, memory)
const cells = new BigInt64Array(memory)

export function tally(): Tally {
  const [frames, readings, words] = Array.from(cells, (_, i) => Number(Atomics.load(cells, i)))
  return { frames, readings, words }
}

/** The same source, whose records are counted as they are given. */
export function counted<T>(name: keyof Tally, source: Source<T>): Source<T> {
  const cell = NAMES.indexOf(name)
  return changed<T, T>(source, (batch) => {
    Atomics.add(cells, cell, BigInt(batch.rows.length))
    return batch
  })
}
