/** The worked cases of the application, by the model and by flows of the engine in virtual time. */
import { describe, expect, test } from 'vitest'
import { measureInChild } from '../lib/child.ts'
import { alignments } from './alignment.ts'
import { verdict } from './claims.ts'
import type { CapacityRun } from './run.ts'
import { capacitySets, compare, predict } from './sets.ts'

describe('three modalities', () => {
  test('wait as long as their window; an as-of join waits for one reading', async () => {
    const aligned = await alignments()
    expect(aligned.map(({ by, waitMs, workMs }) => [by, waitMs, waitMs + workMs])).toEqual([
      ['batch of 1 s', 1000, 1100],
      ['windows of 100 ms', 100, 100],
      ['sliding 50/25 ms', 50, 80],
      ['as-of join, driven by the frame', 10, 40],
    ])
    for (const { waitMs, workMs, saidMs } of aligned) if (saidMs !== undefined) expect(waitMs + workMs).toBe(saidMs)
  })
})

describe('the sets', () => {
  test('are predicted as they are claimed, at any scale', () => {
    for (const scale of [1, 0.1]) {
      const compared = capacitySets(scale).map((set) => {
        const { batch, stream } = predict(set)
        const { latencyReduction, throughputGain, memoryReduction } = compare(batch, stream)
        return [latencyReduction * 100, throughputGain, memoryReduction * 100].map((n) => Number(n.toFixed(2)))
      })
      expect(compared).toEqual([
        [96.67, 1.5, 90],
        [99.67, 1.5, 95],
        [66.33, 1.5, 80],
        [98, 3, 90],
      ])
    }
  })

  test('of frames is 3 s as a batch and 60 ms as a stream', () => {
    const { batch, stream, canKeepUp } = predict(capacitySets(1)[3])
    expect(batch.latencyMs).toBeCloseTo(3000, 6)
    expect([stream.latencyMs, canKeepUp]).toEqual([60, true])
  })
})

test('a figure is in its claimed range to whole percents and hundredths of a factor', () => {
  expect(verdict('throughputGain', 1.497)).toBe('in')
  expect(verdict('throughputGain', 1.49)).toBe('below')
  expect(verdict('latencyReduction', 0.9967)).toBe('above')
  expect(verdict('memoryReduction', 0.95)).toBe('in')
})

describe('a run', () => {
  const run = (options: string): Promise<CapacityRun> =>
    measureInChild('capacity/run.ts', `${options} --points 20 --size 1000`.split(' '))

  test('of a batch gives no point before all were collected and worked on, and keeps memory for each', async () => {
    const { latencyMs, memoryBytes, inUseMax } = await run('--design batch --interval 10 --process 5')
    expect(latencyMs.first).toBeGreaterThanOrEqual(20 * 10 + 20 * 5)
    expect(latencyMs.last).toBeGreaterThanOrEqual(10 + 20 * 5)
    expect({ memoryBytes, inUseMax }).toEqual({ memoryBytes: 20_000, inUseMax: 20 })
  })

  test('of a stream that falls behind works on one point at a time, and keeps memory for those in flight', async () => {
    const stream = await run('--design stream --interval 5 --process 10 --inflight 4')
    expect(stream.latencyMs.first).toBeGreaterThanOrEqual(10)
    expect(stream.latencyMs.last).toBeGreaterThanOrEqual(19 * (10 - 5) + 10)
    expect({ memoryBytes: stream.memoryBytes, inUseMax: stream.inUseMax }).toEqual({ memoryBytes: 4_000, inUseMax: 4 })
  })
})
