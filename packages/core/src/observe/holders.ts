/** Who holds event time back: "why does no result come out?". Pure functions over `plan` and `sources` messages. */
import type { PlanMessage, SourcePartition, SourcesMessage, WatermarkValue } from './contract.ts'

export interface WatermarkHolder {
  readonly step: number
  /** Step index of the source, and the name of its partition. */
  readonly source: number
  readonly partition: string
  readonly watermark: WatermarkValue
  /** When it last gave a record, ms since the epoch; null when it never did. */
  readonly lastRecordAt: number | null
  /** How far the fastest partition that this step hears of is ahead of the holder, ms of event time; null: unknown. */
  readonly behindMs: number | null
}

/**
 * For every step below a source: the partition whose watermark is the lowest of those it waits for. Idle and ended
 * partitions hold nothing. Steps that wait for nobody are left out.
 */
export function watermarkHolders(plan: PlanMessage, sources: SourcesMessage): WatermarkHolder[] {
  const upstream = sourcesAbove(plan)
  const holders: WatermarkHolder[] = []
  for (const step of plan.steps) {
    if (step.time !== null) continue
    const above = upstream[step.i]
    const active = sources.partitions.filter((p) => above.has(p.source) && holdsBack(p))
    if (active.length === 0) continue
    const slowest = active.reduce((a, b) => (low(b) < low(a) ? b : a))
    const times = sources.partitions
      .filter((p) => above.has(p.source))
      .map((p) => p.watermark)
      .filter((w) => typeof w === 'number')
    const { watermark } = slowest
    holders.push({
      step: step.i,
      source: slowest.source,
      partition: slowest.partition,
      watermark,
      lastRecordAt: slowest.lastRecordAt,
      behindMs: typeof watermark === 'number' && times.length > 0 ? Math.max(...times) - watermark : null,
    })
  }
  return holders
}

export interface Stall {
  readonly source: number
  readonly partition: string
  readonly silentMs: number
  /** Steps that wait for it. */
  readonly steps: readonly number[]
  /** The step to name: the first that collects records until event time has passed. */
  readonly step: number
}

/** A quiet partition is a stall when others go on and something waits for it. */
export const STALL_MS = 10_000

/** Partitions that hold steps back and have been silent for `afterMs` while another partition gave records. */
export function stalls(plan: PlanMessage, sources: SourcesMessage, now: number, afterMs = STALL_MS): Stall[] {
  const found: Stall[] = []
  const lastOf = (p: SourcePartition): number => p.lastRecordAt ?? Number.NEGATIVE_INFINITY
  for (const p of sources.partitions) {
    if (p.holds.length === 0 || p.pausedByAlignment) continue
    const silentMs = now - (p.lastRecordAt ?? now)
    const someoneGoesOn = sources.partitions.some((other) => other !== p && lastOf(other) - lastOf(p) >= afterMs)
    const isSilent = p.lastRecordAt === null ? someoneGoesOn : silentMs >= afterMs && someoneGoesOn
    if (!isSilent) continue
    const waits = p.holds.find((i) => plan.steps[i].isNamed && plan.steps[i].guarantee === null) ?? p.holds[0]
    found.push({ source: p.source, partition: p.partition, silentMs, steps: p.holds, step: waits })
  }
  return found
}

/** By partition: the steps it holds back. */
export function heldBy(plan: PlanMessage, partitions: readonly SourcePartition[]): number[][] {
  const upstream = sourcesAbove(plan)
  const held: number[][] = partitions.map(() => [])
  for (const step of plan.steps) {
    if (step.time !== null) continue
    let slowest = -1
    partitions.forEach((p, i) => {
      if (!upstream[step.i].has(p.source) || !holdsBack(p)) return
      if (slowest < 0 || low(p) < low(partitions[slowest])) slowest = i
    })
    if (slowest >= 0) held[slowest].push(step.i)
  }
  return held
}

function holdsBack(p: SourcePartition): boolean {
  return !p.idle && !p.ended
}

function low(p: SourcePartition): number {
  return p.watermark === 'end' ? Number.POSITIVE_INFINITY : (p.watermark ?? Number.NEGATIVE_INFINITY)
}

/** By step: the sources above it. Steps come in topological order. */
function sourcesAbove(plan: PlanMessage): ReadonlySet<number>[] {
  const above = plan.steps.map((s) => new Set(s.time === null ? [] : [s.i]))
  for (const edge of [...plan.edges].sort((a, b) => a.to - b.to)) {
    for (const source of above[edge.from]) above[edge.to].add(source)
  }
  return above
}
