import { describe, expect, test } from 'vitest'
import { catchUp, limitingStep } from './bottleneck.ts'
import type { PlanEdge, PlanMessage, PlanStep, SampleMessage, SourcePartition, SourcesMessage } from './contract.ts'
import { stalls, watermarkHolders } from './holders.ts'

/** gps and lidar -> fuse -> out; each step a stage of its own, joined by queues. */
const names = ['gps', 'lidar', 'fuse', 'out']
const steps = names.map(
  (name, i): PlanStep => ({
    i,
    name,
    isNamed: true,
    kind: i < 2 ? 'source' : i === 2 ? 'asOf' : 'sink',
    stage: i,
    tasks: 1,
    at: null,
    time: i < 2 ? 'event' : null,
    bounded: i < 2 ? false : null,
    order: 'deterministic',
    guarantee: i === 3 ? 'exactly-once' : null,
    fusedWith: null,
    connector: null,
    detail: {},
  }),
)
const edges = [
  [0, 2],
  [1, 2],
  [2, 3],
].map(([from, to], i): PlanEdge => ({ i, from, to, output: 'out', kind: 'queue', capacity: 1000, whenFull: 'block' }))
const plan: PlanMessage = { type: 'plan', flow: 'fusion', planHash: 'x', workers: 1, steps, edges }

function sample(cols: { busy: number[]; await?: number[]; queueFill?: (number | null)[] }): SampleMessage {
  const zero = names.map(() => 0)
  const all = {
    recordsIn: zero,
    recordsOut: zero,
    bytesOut: zero,
    blocked: zero,
    watermark: zero,
    stateBytes: zero,
    keys: zero,
  }
  const more = {
    late: zero,
    dropped: zero,
    dead: zero,
    retried: zero,
    errors: zero,
    await: zero,
    queueFill: names.map(() => null),
  }
  return {
    type: 'sample',
    flow: 'fusion',
    planHash: 'x',
    attempt: 0,
    state: 'running',
    interval: 1000,
    cols: { ...all, ...more, ...cols },
  }
}

function partition(source: number, more: Partial<SourcePartition> = {}): SourcePartition {
  const plain = {
    partition: '0',
    position: 0,
    watermark: 0,
    lastRecordAt: 0,
    idle: false,
    ended: false,
    pausedByAlignment: false,
  }
  return { source, ...plain, lag: 10, progress: null, records: 1, holds: [], ...more }
}

function sources(...partitions: SourcePartition[]): SourcesMessage {
  return { type: 'sources', flow: 'fusion', planHash: 'x', partitions, rest: null, lag: 10, progress: null }
}

describe('the limiting step', () => {
  test('is the busy step behind a full queue, not the blocked ones in front of it', () => {
    const found = limitingStep(plan, sample({ busy: [0.4, 0.3, 0.9, 0.1], queueFill: [null, null, 1, 0.02] }))
    expect(found).toEqual({ step: 2, share: 0.9, cause: 'computing' })
  })

  test('is the sink when its writes take the time', () => {
    const now = sample({ busy: [0.1, 0, 0.4, 0.1], await: [0, 0, 0, 0.85], queueFill: [null, null, 1, 0.97] })
    expect(limitingStep(plan, now)).toMatchObject({ step: 3, cause: 'waiting' })
  })

  test('is the source when there is more to read and no step is busy', () => {
    const now = sample({ busy: [0.05, 0, 0.1, 0.05], queueFill: [null, null, 0, 0] })
    expect(limitingStep(plan, now, sources(partition(0), partition(1)))).toMatchObject({ step: 0, cause: 'reading' })
  })

  test('is nobody when all sources have been read to their end', () => {
    const now = sample({ busy: [0.05, 0, 0.1, 0.05], queueFill: [null, null, 0, 0] })
    expect(limitingStep(plan, now, sources(partition(0, { lag: 0 }), partition(1, { lag: 0 })))).toBeUndefined()
  })
})

describe('the holder of the watermark', () => {
  test('is the partition whose event time is the lowest of those a step waits for', () => {
    const now = sources(
      partition(0, { watermark: 5000 }),
      partition(1, { partition: '3', watermark: 2000, lastRecordAt: 7 }),
    )
    expect(watermarkHolders(plan, now)).toEqual([
      { step: 2, source: 1, partition: '3', watermark: 2000, lastRecordAt: 7, behindMs: 3000 },
      { step: 3, source: 1, partition: '3', watermark: 2000, lastRecordAt: 7, behindMs: 3000 },
    ])
  })

  test('is never an idle or an ended partition', () => {
    const now = sources(
      partition(0, { watermark: 5000 }),
      partition(1, { watermark: 1, idle: true }),
      partition(1, { watermark: 'end', ended: true }),
    )
    expect(watermarkHolders(plan, now)[0]).toMatchObject({ source: 0, watermark: 5000 })
  })

  test('is a stall when it is silent while others go on, and names the step that waits', () => {
    const quiet = partition(0, { lastRecordAt: 1_000, holds: [2, 3] })
    const found = stalls(plan, sources(quiet, partition(1, { lastRecordAt: 62_000 })), 62_000)
    expect(found).toEqual([{ source: 0, partition: '0', silentMs: 61_000, steps: [2, 3], step: 2 }])
  })

  test('is no stall when everything is quiet', () => {
    const now = sources(partition(0, { lastRecordAt: 1_000, holds: [2] }), partition(1, { lastRecordAt: 1_000 }))
    expect(stalls(plan, now, 62_000)).toEqual([])
  })
})

describe('catching up', () => {
  const curve = (...lags: (number | null)[]) => lags.map((lag, i) => ({ at: i * 1000, lag, progress: null }))

  test('is estimated from the slope of the lag', () => {
    const { state, leftMs } = catchUp(curve(10_000, 9_000, 8_000, 7_000))
    expect(state).toBe('catching up')
    expect(leftMs).toBeCloseTo(7_000)
  })

  test('has no end when the lag grows', () => {
    expect(catchUp(curve(10_000, 11_000, 12_000))).toEqual({ state: 'falling behind', lag: 12_000, leftMs: null })
  })

  test('is over at no lag', () => {
    expect(catchUp(curve(500, 0))).toEqual({ state: 'caught up', lag: 0, leftMs: 0 })
  })

  test('is unknown from one point, and where no source knows', () => {
    expect(catchUp(curve(500)).state).toBe('unknown')
    expect(catchUp(curve(null, null)).state).toBe('unknown')
  })

  test('is estimated from the share read where the lag in records is unknown', () => {
    const points = [0, 0.1, 0.2].map((progress, i) => ({ at: i * 1000, lag: null, progress }))
    expect(catchUp(points).leftMs).toBeCloseTo(8_000)
  })
})
