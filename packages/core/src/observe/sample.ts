/** One look at the counters of every step, as columns; and at the partitions of every source. */
import type {
  FlowState,
  PlanMessage,
  SampleColumns,
  SampleMessage,
  SourcePartition,
  SourcesMessage,
  WatermarkValue,
} from './contract.ts'
import { heldBy } from './holders.ts'
import { droppedOf, type ObservedCounters, type ObservedPartition } from './observed.ts'

export interface SampleFrame {
  readonly plan: PlanMessage
  readonly attempt: number
  readonly state: FlowState
  /** Ms since `previous`, 0 without one. */
  readonly interval: number
}

/** Counters of the sample before, by step: what shares of time are computed against. */
export type PreviousCounters = readonly ObservedCounters[] | undefined

export function sampleMessage(
  frame: SampleFrame,
  counters: readonly ObservedCounters[],
  previous: PreviousCounters,
): SampleMessage {
  const { plan, attempt, state, interval } = frame
  const all = (pick: (c: ObservedCounters) => number): number[] => counters.map(pick)
  const share = (pick: (c: ObservedCounters) => number): number[] =>
    counters.map((c, i) => {
      const spent = pick(c) - (previous === undefined ? 0 : pick(previous[i]))
      const available = interval * plan.steps[i].tasks
      return available > 0 ? round(Math.min(1, Math.max(0, spent / available))) : 0
    })
  const cols: SampleColumns = {
    recordsIn: all((c) => c.recordsIn),
    recordsOut: all((c) => c.recordsOut),
    bytesOut: all((c) => c.bytesOut),
    busy: share((c) => c.busyMs),
    blocked: share((c) => c.blockedMs),
    await: share((c) => c.awaitMs),
    watermark: counters.map((c) => watermarkValue(c.watermark)),
    stateBytes: all((c) => c.stateBytes),
    keys: all((c) => c.keys),
    late: all((c) => c.late),
    dropped: all(droppedOf),
    dead: all((c) => c.dead),
    retried: all((c) => c.retried),
    errors: all((c) => c.errors),
    queueFill: counters.map((c) => (c.queueCapacity > 0 ? round(c.queued / c.queueCapacity) : null)),
  }
  return { type: 'sample', flow: plan.flow, planHash: plan.planHash, attempt, state, interval, cols }
}

/** Partitions beyond this many are added up: a frame stays small however many there are. */
export const SOURCES_MAX = 64

export function sourcesMessage(
  plan: PlanMessage,
  partitions: readonly ObservedPartition[],
  sourcesMax = SOURCES_MAX,
): SourcesMessage {
  const indexOf = new Map(plan.steps.filter((s) => s.time !== null).map((s) => [s.name, s.i]))
  const all = partitions.map((p): SourcePartition => {
    return {
      source: indexOf.get(p.source) ?? -1,
      partition: p.partition,
      position: p.position ?? null,
      watermark: p.isEnded ? 'end' : watermarkValue(p.watermark),
      lastRecordAt: p.rows > 0 ? p.lastRecordAtMs : null,
      idle: p.isIdle,
      ended: p.isEnded,
      pausedByAlignment: p.isPausedByAlignment,
      lag: p.lag ?? null,
      progress: p.progress === undefined ? null : round(p.progress),
      records: p.rows,
      holds: [],
    }
  })
  const held = heldBy(plan, all)
  const named = all.map((p, i) => ({ ...p, holds: held[i] })).sort((a, b) => rank(a) - rank(b))
  const shown = named.slice(0, sourcesMax)
  const rest = named.slice(sourcesMax)
  return {
    type: 'sources',
    flow: plan.flow,
    planHash: plan.planHash,
    partitions: shown,
    rest:
      rest.length === 0
        ? null
        : { partitions: rest.length, lag: total(rest), records: sum(rest.map((p) => p.records)) },
    lag: all.length === 0 ? null : total(all),
    progress: progressOf(all),
  }
}

export function watermarkValue(time: number): WatermarkValue {
  if (time === Number.POSITIVE_INFINITY) return 'end'
  return Number.isFinite(time) ? time : null
}

/** Furthest behind in event time first; ended partitions last. */
function rank(p: SourcePartition): number {
  if (p.watermark === 'end') return Number.POSITIVE_INFINITY
  return p.watermark ?? Number.NEGATIVE_INFINITY
}

function total(partitions: readonly SourcePartition[]): number | null {
  return partitions.some((p) => p.lag === null) ? null : sum(partitions.map((p) => p.lag ?? 0))
}

/** The mean over sources of the mean over their partitions: no source is weighted by how it is split. */
function progressOf(partitions: readonly SourcePartition[]): number | null {
  if (partitions.length === 0 || partitions.some((p) => p.progress === null)) return null
  const bySource = new Map<number, number[]>()
  for (const p of partitions) bySource.set(p.source, [...(bySource.get(p.source) ?? []), p.progress ?? 0])
  const means = [...bySource.values()].map((list) => sum(list) / list.length)
  return round(sum(means) / means.length)
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0)
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4
}
