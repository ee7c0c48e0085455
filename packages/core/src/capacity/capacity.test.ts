/** The worked figures of the capacity model, and its edges. */
import { describe, expect, test } from 'vitest'
import { type CapacityOptions, capacity, pointLatencyMs } from './capacity.ts'

const MB = 1_000_000
const keepingUp: CapacityOptions = { points: 100, intervalMs: 100, processMs: 50, sizeBytes: MB, inFlight: 5 }
const fallingBehind: CapacityOptions = { points: 100, intervalMs: 50, processMs: 100, sizeBytes: MB, inFlight: 20 }

/** As many digits as the worked figures have. */
function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`
}

describe('worked figures', () => {
  test('10 points, one a second, half a second of work: 15 s against 0.5 s', () => {
    const { batch, stream } = capacity({ points: 10, intervalMs: 1000, processMs: 500, sizeBytes: 1 })
    expect([batch.latencyMs, stream.latencyMs]).toEqual([15_000, 500])
  })

  test('100 points at 0.1 s with 0.05 s of work: 15 s, 6.67/s, 100 MB against 0.05 s, 10/s, 5 MB', () => {
    const { batch, stream, comparison } = capacity(keepingUp)
    expect(batch).toEqual({ latencyMs: 15_000, throughputPerSecond: 1000 / 150, memoryBytes: 100 * MB })
    expect(stream).toEqual({
      latencyMs: 50,
      throughputPerSecond: 10,
      memoryBytes: 5 * MB,
      inFlight: 5,
      canKeepUp: true,
      pointsAtOnce: 1,
    })
    expect([percent(comparison.latencyReduction), percent(comparison.memoryReduction)]).toEqual(['99.67 %', '95.00 %'])
    expect(comparison.throughputGain).toBe(1.5)
  })

  test('100 points at 0.05 s with 0.1 s of work: 15 s, 6.67/s, 100 MB against 5.05 s for the last, 10/s, 20 MB', () => {
    const { batch, stream, comparison } = capacity(fallingBehind)
    expect(batch).toEqual({ latencyMs: 15_000, throughputPerSecond: 1000 / 150, memoryBytes: 100 * MB })
    expect(stream).toMatchObject({ latencyMs: 5_050, throughputPerSecond: 10, memoryBytes: 20 * MB, canKeepUp: false })
    expect([percent(comparison.latencyReduction), percent(comparison.memoryReduction)]).toEqual(['66.33 %', '80.00 %'])
    expect(comparison.throughputGain).toBe(1.5)
  })

  test('frames at 30 a second: 1 s of them with 2 s of work is 3 s; two steps of 30 ms each keep up and take 60 ms', () => {
    const second = capacity({ points: 30, intervalMs: 1000 / 30, processMs: 2000 / 30, sizeBytes: 1 }).batch.latencyMs
    const step = capacity({ points: 30, intervalMs: 1000 / 30, processMs: 30, sizeBytes: 1 }).stream
    expect(second).toBeCloseTo(3000, 9)
    expect([step.canKeepUp, 2 * step.latencyMs]).toEqual([true, 60])
    expect(second / (2 * step.latencyMs)).toBeCloseTo(50, 9)
    // One step of 60 ms takes as long for the first frame, and falls behind.
    expect(capacity({ points: 30, intervalMs: 1000 / 30, processMs: 60, sizeBytes: 1 }).stream.canKeepUp).toBe(false)
  })

  test('three modalities: a second of readings at 100 Hz with 0.1 s of work is 1100 ms, 13.75 times 50 + 30 ms', () => {
    const { latencyMs } = capacity({ points: 100, intervalMs: 10, processMs: 1, sizeBytes: 1 }).batch
    expect(latencyMs).toBe(1100)
    expect(latencyMs / (50 + 30)).toBe(13.75)
  })
})

describe('limits for many points', () => {
  test('keeping up: everything of latency and memory is saved, 1 + process / interval in throughput', () => {
    expect(capacity(keepingUp).limits).toEqual({
      latencyReduction: 1,
      collectingShare: 100 / 150,
      throughputGain: 1.5,
      memoryReduction: 1,
    })
  })

  test('falling behind: twice the collecting share', () => {
    const { latencyReduction, collectingShare } = capacity(fallingBehind).limits
    expect([latencyReduction, collectingShare]).toEqual([100 / 150, 50 / 150])
  })

  test('a million points are close to them', () => {
    for (const options of [keepingUp, fallingBehind]) {
      const { comparison, limits } = capacity({ ...options, points: 1e6 })
      expect(comparison.latencyReduction).toBeCloseTo(limits.latencyReduction, 5)
      expect(comparison.memoryReduction).toBeCloseTo(limits.memoryReduction, 4)
    }
  })
})

describe('a step that takes longer than the interval', () => {
  test('each point waits longer than the one before', () => {
    expect([1, 2, 3, 100].map((i) => pointLatencyMs(i, fallingBehind))).toEqual([100, 150, 200, 5_050])
  })

  test('says how fast the queue grows, when the buffer is full and how many workers keep up', () => {
    const { queue, pointsAtOnce } = capacity(fallingBehind).stream
    expect(queue).toEqual({ growthPerSecond: 10, fullAfterMs: 1_950, workersNeeded: 2 })
    expect(pointsAtOnce).toBe(51)
  })

  test('without inFlight, memory is for as many points as are there at once', () => {
    const { inFlight: _, ...rest } = fallingBehind
    const { stream } = capacity(rest)
    expect([stream.inFlight, stream.memoryBytes, stream.queue?.fullAfterMs]).toEqual([51, 51 * MB, undefined])
  })
})

describe('edges', () => {
  test('work as long as the interval keeps up, and has no queue', () => {
    const { stream, comparison } = capacity({ ...keepingUp, processMs: 100 })
    expect([stream.canKeepUp, stream.latencyMs, stream.pointsAtOnce, stream.queue]).toEqual([true, 100, 1, undefined])
    expect(comparison.throughputGain).toBe(2)
  })

  test('of a batch of one point a stream saves the collecting, and no memory', () => {
    const { comparison, limits } = capacity({ ...keepingUp, points: 1, inFlight: 1 })
    expect(comparison).toEqual({ latencyReduction: limits.collectingShare, throughputGain: 1.5, memoryReduction: 0 })
  })

  test('a backlog, where all points are there at once, gains nothing from being streamed', () => {
    const { stream, comparison } = capacity({ points: 10, intervalMs: 0, processMs: 20, sizeBytes: MB })
    expect(stream).toMatchObject({ latencyMs: 200, throughputPerSecond: 50, pointsAtOnce: 10 })
    expect(stream.queue).toEqual({ growthPerSecond: undefined, fullAfterMs: undefined, workersNeeded: undefined })
    expect(comparison).toEqual({ latencyReduction: 0, throughputGain: 1, memoryReduction: 0 })
  })

  test('work that takes no time has no latency', () => {
    const { stream, comparison } = capacity({ ...keepingUp, processMs: 0 })
    expect([stream.latencyMs, stream.throughputPerSecond]).toEqual([0, 10])
    expect(comparison).toEqual({ latencyReduction: 1, throughputGain: 1, memoryReduction: 0.95 })
  })

  test('the largest figures are exact', () => {
    const { batch, stream } = capacity({
      points: 1e9,
      intervalMs: 3_599_999,
      processMs: 3_600_000,
      sizeBytes: 9_000_000,
    })
    expect(batch.latencyMs).toBe(7_199_999_000_000_000)
    expect(batch.memoryBytes).toBe(9e15)
    expect(stream.latencyMs).toBe(999_999_999 + 3_600_000)
    expect(stream.pointsAtOnce).toBe(1e9 - 999_999_721)
  })
})

test.each<[Partial<CapacityOptions>, string]>([
  [{ points: 0 }, 'points is 0; it must be 1 to 1000000000 (whole).'],
  [{ points: 1.5 }, 'points is 1.5;'],
  [{ points: Number.NaN }, 'points is NaN;'],
  [{ points: 1e9 + 1 }, 'points is 1000000001;'],
  [{ intervalMs: -1 }, 'intervalMs is -1; it must be 0 to 3600000 (ms).'],
  [{ intervalMs: Number.POSITIVE_INFINITY }, 'intervalMs is Infinity;'],
  [{ processMs: Number.NaN }, 'processMs is NaN;'],
  [{ processMs: '50' as unknown as number }, 'processMs is 50;'],
  [{ intervalMs: 0, processMs: 0 }, 'are both 0: no time passes'],
  [{ sizeBytes: 0 }, 'sizeBytes is 0;'],
  [{ inFlight: 0 }, 'inFlight is 0; it must be 1 to 100 (whole, points at most).'],
  [{ inFlight: 101 }, 'inFlight is 101;'],
])('%j is refused by name, with the range', (wrong, message) => {
  const act = (): unknown => capacity({ ...keepingUp, ...wrong })
  expect(act).toThrow(message)
  expect(act).toThrow(expect.objectContaining({ code: 'CAPACITY_RANGE' }))
})

test('the latency of a point that is not one is refused', () => {
  expect(() => pointLatencyMs(0, keepingUp)).toThrow('point is 0; it must be 1 to 1000000000 (whole).')
})
