/** The capacity model equals a simulation of arrivals and work, to the millisecond. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { oracleCases } from '../testing/cases.ts'
import { type CapacityOptions, capacity, pointLatencyMs } from './capacity.ts'
import { playBatch, playStream } from './single-server.ts'

type Drawn = CapacityOptions & { readonly inFlight: number }

const pace = fc
  .record({ points: fc.integer({ min: 1, max: 300 }), intervalMs: paceMs(), processMs: paceMs() })
  .filter(({ intervalMs, processMs }) => intervalMs + processMs > 0)
const drawn: fc.Arbitrary<Drawn> = pace.chain((figures) =>
  fc.record({
    points: fc.constant(figures.points),
    intervalMs: fc.constant(figures.intervalMs),
    processMs: fc.constant(figures.processMs),
    sizeBytes: fc.integer({ min: 1, max: 1e6 }),
    inFlight: fc.integer({ min: 1, max: figures.points }),
  }),
)

/** Small ones often, so that interval and work are often equal or multiples of each other. */
function paceMs(): fc.Arbitrary<number> {
  return fc.oneof(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 3_600_000 }))
}

function holds(property: (options: Drawn) => void): void {
  fc.assert(fc.property(drawn, property), { numRuns: oracleCases(500) })
}

describe('the model equals the simulation', () => {
  test('in the latency of every point of a stream', () => {
    holds((options) => {
      const { latenciesMs } = playStream(options)
      expect(latenciesMs.map((_, i) => pointLatencyMs(i + 1, options))).toEqual(latenciesMs)
      expect(capacity(options).stream.latencyMs).toBe(latenciesMs.at(-1))
    })
  })

  test('in the latency of a batch, which is that of its first point', () => {
    holds((options) => {
      expect(capacity(options).batch.latencyMs).toBe(playBatch(options).latenciesMs[0])
    })
  })

  test('in the number of points that are there at once, and when the buffer is full', () => {
    holds((options) => {
      const played = playStream(options)
      const { stream } = capacity(options)
      expect(stream.pointsAtOnce).toBe(played.pointsAtOnce)
      expect(stream.queue?.fullAfterMs).toBe(played.fullAtMs)
    })
  })

  test('in throughput: of whole batches, and of a stream after its first result', () => {
    holds((options) => {
      const { batch, stream } = capacity(options)
      const perSecond = (points: number, ms: number): number => (1000 * points) / ms
      expect(batch.throughputPerSecond).toBeCloseTo(perSecond(options.points, playBatch(options).elapsedMs), 6)
      if (options.points === 1) return
      const afterFirstMs = playStream(options).elapsedMs - options.processMs
      expect(stream.throughputPerSecond).toBeCloseTo(perSecond(options.points - 1, afterFirstMs), 6)
    })
  })

  test('in the number of workers that keep up: one fewer does not', () => {
    holds((options) => {
      const { queue } = capacity(options).stream
      if (queue?.workersNeeded === undefined) return
      // With w workers in turn, each of them sees every w-th point.
      const canKeepUp = (w: number): boolean =>
        playStream({ ...options, points: 50, intervalMs: options.intervalMs * w }).pointsAtOnce === 1
      expect([canKeepUp(queue.workersNeeded), canKeepUp(queue.workersNeeded - 1)]).toEqual([true, false])
    })
  })
})

test('the comparison lies between its value for one point and its limit', () => {
  holds((options) => {
    const { comparison, limits } = capacity(options)
    expect(comparison.latencyReduction).toBeGreaterThanOrEqual(limits.collectingShare - 1e-12)
    expect(comparison.latencyReduction).toBeLessThanOrEqual(limits.latencyReduction + 1e-12)
    expect(comparison.throughputGain).toBe(limits.throughputGain)
    expect(comparison.memoryReduction).toBeLessThan(limits.memoryReduction)
    expect(capacity({ ...options, points: 1, inFlight: 1 }).comparison.latencyReduction).toBeCloseTo(
      limits.collectingShare,
      12,
    )
  })
})
