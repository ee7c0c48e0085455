/** The capacity model against flows that really run: is what it says of batches and streams what they do? */
import type { Bench } from '../lib/bench.ts'
import { measureInChild } from '../lib/child.ts'
import { repeat } from '../lib/repeat.ts'
import type { Table } from '../lib/report.ts'
import { short, spread } from '../lib/spread.ts'
import { alignments } from './alignment.ts'
import { CLAIMED, verdict } from './claims.ts'
import type { CapacityRun } from './run.ts'
import { type CapacitySet, capacitySets, compare, type Figures, predict } from './sets.ts'

interface SetRuns {
  readonly set: CapacitySet
  readonly batch: readonly CapacityRun[]
  readonly stream: readonly CapacityRun[]
}

export const capacity: Bench = {
  what: 'batch against stream: the capacity model beside flows that run with its figures',
  async measure(isFull) {
    const times = isFull ? 3 : 1
    const results: SetRuns[] = []
    for (const set of capacitySets(isFull ? 1 : 0.1)) {
      const batch = await repeat(times, () => runOnce(set, 'batch'))
      const stream = await repeat(times, () => runOnce(set, 'stream'))
      results.push({ set, batch, stream })
    }
    const aligned = await alignments()
    return {
      tables: [...results.map(setTable), alignmentTable(aligned)],
      data: { sets: results, alignments: aligned },
    }
  },
}

function runOnce(set: CapacitySet, design: 'batch' | 'stream'): Promise<CapacityRun> {
  const { processMs, steps } = design === 'batch' ? { ...set.batch, steps: 1 } : set.stream
  const options = {
    ...{ design, points: set.points, interval: set.intervalMs, process: processMs, steps },
    ...{ size: set.sizeBytes, inflight: set.inFlight },
  }
  return measureInChild(
    'capacity/run.ts',
    Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
  )
}

function setTable({ set, batch, stream }: SetRuns): Table {
  const predicted = predict(set)
  const measured = {
    batch: figuresOf(batch, ({ latencyMs }) => latencyMs.first),
    stream: figuresOf(stream, ({ latencyMs }) => (predicted.canKeepUp ? latencyMs.median : latencyMs.last)),
  }
  const said = compare(predicted.batch, predicted.stream)
  const ofProcess = {
    batch: spread(batch.map((run) => run.rssGrowthBytes)).median,
    stream: spread(stream.map((run) => run.rssGrowthBytes)).median,
  }
  const seen = compare(measured.batch, measured.stream)
  const pairs = (of: keyof Figures, unit: number, name: string, seenOf = ofEach(measured, of)): string[] =>
    (['batch', 'stream'] as const).flatMap((design) => {
      const [was, is] = [predicted[design][of], seenOf[design]]
      return [short(was / unit) + name, short(is / unit) + name, difference(was, is)]
    })
  const less = (share: number): string => `-${(share * 100).toFixed(2)} %`
  const gain = (times: number): string => `x ${times.toFixed(2)}`
  const inUse = spread(stream.map((run) => run.inUseMax)).median
  const peak = (runs: readonly CapacityRun[]): string =>
    `${short(spread(runs.map((run) => run.rssMaxBytes)).median / 1e6)} MB`
  const ratio = ({ batch: one, stream: other }: Record<'batch' | 'stream', Figures>): string =>
    short(one.latencyMs / other.latencyMs)
  const processReduction = 1 - ofProcess.stream / ofProcess.batch
  const { latencyReduction, throughputGain, memoryReduction } = CLAIMED
  return {
    title: set.title,
    head: [
      ...['', 'batch: predicted', 'measured', 'difference', 'stream: predicted', 'measured', 'difference'],
      ...['stream/batch: predicted', 'measured', 'claimed', 'measured is'],
    ],
    rows: [
      [
        predicted.canKeepUp ? 'latency' : 'latency (last)',
        ...pairs('latencyMs', 1000, ' s'),
        ...[less(said.latencyReduction), less(seen.latencyReduction)],
        `-${latencyReduction.from * 100} to -${latencyReduction.to * 100} %`,
        verdict('latencyReduction', seen.latencyReduction),
      ],
      [
        'throughput',
        ...pairs('throughputPerSecond', 1, '/s'),
        ...[gain(said.throughputGain), gain(seen.throughputGain)],
        `x ${throughputGain.from} to x ${throughputGain.to}`,
        verdict('throughputGain', seen.throughputGain),
      ],
      [
        'memory of points',
        ...pairs('memoryBytes', 1e6, ' MB'),
        ...[less(said.memoryReduction), less(seen.memoryReduction)],
        `-${memoryReduction.from * 100} to -${memoryReduction.to * 100} %`,
        verdict('memoryReduction', seen.memoryReduction),
      ],
      [
        'growth of process',
        ...pairs('memoryBytes', 1e6, ' MB', ofProcess),
        ...[less(said.memoryReduction), less(processReduction)],
        `-${memoryReduction.from * 100} to -${memoryReduction.to * 100} %`,
        verdict('memoryReduction', processReduction),
      ],
    ],
    notes: [
      `Latency of the batch over that of the stream: predicted ${ratio(predicted)}, measured ${ratio(measured)}. Peak memory ` +
        `of the process: batch ${peak(batch)}, stream ${peak(stream)}. The stream had ${inUse} of its ${set.inFlight} slots ` +
        'in use at once.',
    ],
  }
}

function ofEach(figures: Record<'batch' | 'stream', Figures>, of: keyof Figures): Record<'batch' | 'stream', number> {
  return { batch: figures.batch[of], stream: figures.stream[of] }
}

/** Medians over the runs. */
function figuresOf(runs: readonly CapacityRun[], latencyMs: (run: CapacityRun) => number): Figures {
  return {
    latencyMs: spread(runs.map(latencyMs)).median,
    throughputPerSecond: spread(runs.map((run) => run.throughputPerSecond)).median,
    memoryBytes: spread(runs.map((run) => run.memoryBytes)).median,
  }
}

function difference(predicted: number, measured: number): string {
  const percent = ((measured - predicted) / predicted) * 100
  // -0.04 is printed as 0.0, without a sign.
  const text = percent.toFixed(1)
  return Number(text) === 0 ? '0.0 %' : `${percent < 0 ? '' : '+'}${text} %`
}

function alignmentTable(aligned: Awaited<ReturnType<typeof alignments>>): Table {
  return {
    title: 'Frames at 30/s, a sensor at 100 Hz and language, aligned: the oldest record of a result, in virtual time',
    head: ['aligned by', 'waits ms', 'work ms (given)', 'in all ms', 'said ms', 'batch over this'],
    rows: aligned.map(({ by, waitMs, workMs, saidMs }) => [
      by,
      ...[waitMs, workMs, waitMs + workMs].map((ms) => ms.toFixed(1)),
      saidMs === undefined ? '-' : String(saidMs),
      `${((aligned[0].waitMs + aligned[0].workMs) / (waitMs + workMs)).toFixed(2)} x`,
    ]),
    notes: [
      'In the tables above, latency is that of the first point of a batch, and of the middle point of a stream that keeps ' +
        'up. "Growth of process" is its resident memory above what it was before the first point; pages that were free ' +
        'then are not in it. "In", "below" and "above" (more than claimed) are to whole percents and hundredths of a factor.',
      'Waits come from flows of the engine on a clock that only the test moves, so they are the same in every run; the work ' +
        'is a figure of the application. The as-of join waits for the next reading, 10 ms at most.',
    ],
  }
}
