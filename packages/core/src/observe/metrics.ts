/**
 * Metrics as plain families, read from the counters when somebody asks. Names and rules: prefix `millrace_`, base units,
 * `_total` on counters, points in time as `_timestamp_seconds` (the age is computed in the query). Labels are only
 * names of the flow, its steps, sources and partitions and closed sets: never a key, a path or a message of a record.
 */
import { BUCKETS_SECONDS } from './commit-times.ts'
import type { ObservedCounters, ObservedJob, ObservedPartition } from './observed.ts'
import type { Observer } from './observer.ts'

export interface MetricSample {
  /** '' or, in histograms, '_bucket', '_sum', '_count'. */
  readonly suffix: '' | '_bucket' | '_sum' | '_count'
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface MetricFamily {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly samples: readonly MetricSample[]
}

/** All families, in a fixed order, also those without samples at the moment. Empty before the run is attached. */
export function metricFamilies(observer: Observer, version: string): MetricFamily[] {
  const { job, plan } = observer
  if (job === undefined || plan === undefined) return []
  const flow = plan.flow
  const steps = plan.steps.map((step) => ({ step: step.name, c: job.stepCounters(step.i) }))
  const partitions = job.partitions.flat()
  const own = (value: number | undefined, labels: Record<string, string> = {}): MetricSample[] =>
    value === undefined ? [] : [{ suffix: '', labels: { flow, ...labels }, value }]
  const perStep = (
    pick: (c: ObservedCounters) => number | undefined,
    labels: Record<string, string> = {},
  ): MetricSample[] => steps.flatMap(({ step, c }) => own(pick(c), { step, ...labels }))
  const perPartition = (pick: (p: ObservedPartition) => number | undefined): MetricSample[] =>
    partitions.flatMap((p) => own(pick(p), { source: p.source, partition: p.partition }))
  const families: MetricFamily[] = [
    gauge('build_info', 'Version of Millrace; the value is 1.', [{ suffix: '', labels: { version }, value: 1 }]),
    counter('step_records_total', 'Records that reached and left a step.', [
      ...perStep((c) => c.recordsIn, { direction: 'in' }),
      ...perStep((c) => c.recordsOut, { direction: 'out' }),
    ]),
    counter(
      'step_bytes_total',
      'Encoded bytes that a sink wrote.',
      perStep(positive('bytesOut'), { direction: 'out' }),
    ),
    counter(
      'step_busy_seconds_total',
      'Time spent in the functions of a step.',
      perStep((c) => c.busyMs / 1000),
    ),
    counter(
      'step_blocked_seconds_total',
      'Time a stage could not go on because the next queue was full.',
      perStep((c) => c.blockedMs / 1000),
    ),
    counter(
      'step_await_seconds_total',
      'Time a step waited for calls or writes.',
      perStep((c) => c.awaitMs / 1000),
    ),
    gauge(
      'step_watermark_timestamp_seconds',
      'Event time a step has reached; absent before the first record and after the end.',
      perStep((c) => (Number.isFinite(c.watermark) ? c.watermark / 1000 : undefined)),
    ),
    gauge(
      'step_state_bytes',
      'Estimated size of the state of a step, at the last commit.',
      perStep(positive('stateBytes')),
    ),
    gauge('step_keys', 'Entries in the state of a step, at the last commit.', perStep(positive('keys'))),
    gauge(
      'step_held_records',
      'Records a step holds that have not come out yet, at the last commit.',
      perStep(positive('held')),
    ),
    gauge(
      'queue_fill_ratio',
      'Fill of the queue in front of a step.',
      perStep((c) => (c.queueCapacity > 0 ? c.queued / c.queueCapacity : undefined)),
    ),
    counter(
      'late_records_total',
      'Records behind the watermark that a step did not take.',
      perStep((c) => c.late),
    ),
    counter(
      'dead_letters_total',
      'Records given to a dead-letter sink.',
      perStep((c) => c.dead),
    ),
    counter(
      'dropped_records_total',
      'Records a step gave up, by reason.',
      DROP_REASONS.flatMap(([reason, name]) => perStep(positive(name), { reason })),
    ),
    counter('filtered_records_total', 'Records a step took and left out.', perStep(positive('filtered'))),
    counter(
      'merged_records_total',
      'Records that went into others: aggregates, joins.',
      perStep((c) => (c.merged > 0 ? c.merged : undefined)),
    ),
    counter('deduplicated_records_total', 'Records recognised as seen before.', perStep(positive('deduplicated'))),
    counter('retried_records_total', 'Records given to a failing function again.', perStep(positive('retried'))),
    counter(
      'step_errors_total',
      'Records a function of the step failed on, whatever the error policy did then.',
      perStep((c) => c.errors),
    ),
    counter(
      'source_records_total',
      'Records read from a partition.',
      perPartition((p) => p.rows),
    ),
    gauge(
      'source_lag_records',
      'Records known to be behind the position, where the connector knows.',
      perPartition((p) => p.lag),
    ),
    gauge(
      'source_idle',
      '1 while a partition is idle and holds back no watermark.',
      perPartition((p) => (p.isIdle ? 1 : 0)),
    ),
    counter(
      'lost_deliveries_total',
      'Deliveries of a sink that were let go because a receiver was too slow.',
      perStep(positive('lostDeliveries')),
    ),
    gauge(
      'connector',
      'Figures that a source or sink reports of itself: connections, buffers.',
      connectorSamples(job, flow),
    ),
    histogram('commit_duration_seconds', 'Duration of the phases of a commit.', commitSamples(observer, flow)),
    counter('commits_total', 'Commits, by outcome.', [
      ...own(job.commits, { outcome: 'committed' }),
      ...own(job.failedCommits, { outcome: 'failed' }),
    ]),
    gauge(
      'commit_last_success_timestamp_seconds',
      'When the last commit became visible.',
      own(job.lastCommitAt === undefined ? undefined : job.lastCommitAt / 1000),
    ),
    gauge('commit_interval_seconds', 'Configured time between commits.', own(job.options.commitEveryMs / 1000)),
    counter(
      'worker_restarts_total',
      'Restarts from the last commit after a failure of the environment.',
      own(job.restarts),
    ),
    gauge(
      'event_loop_lag_seconds',
      'How long the event loop of the slowest worker took for one turn.',
      own(job.loopLagMs.length === 0 ? undefined : Math.max(...job.loopLagMs) / 1000),
    ),
    gauge('observe_clients', 'Readers of the event stream.', own(observer.readers)),
  ]
  const series = families.reduce((n, f) => n + f.samples.length, 1)
  return [...families, gauge('series', 'Series of this process, to watch their number.', own(series))]
}

const DROP_REASONS = [
  ['buffer-full', 'droppedFull'],
  ['expired', 'droppedExpired'],
  ['unmatched', 'droppedUnmatched'],
  ['throttled', 'droppedThrottled'],
  ['sampled', 'droppedSampled'],
  ['error', 'droppedError'],
] as const

/** Series that only few steps have appear with their first record, so that their number stays small. */
function positive(name: keyof ObservedCounters): (c: ObservedCounters) => number | undefined {
  return (c) => ((c[name] ?? 0) > 0 ? c[name] : undefined)
}

/** Over workers: the connections of a source are those of all its readers. */
function connectorSamples(job: ObservedJob, flow: string): MetricSample[] {
  const samples = new Map<string, MetricSample>()
  for (const { step, name, value } of job.gauges.flat()) {
    const key = `${step}\0${name}`
    const sum = value + (samples.get(key)?.value ?? 0)
    samples.set(key, { suffix: '', labels: { flow, step, figure: name }, value: sum })
  }
  return [...samples.values()]
}

function commitSamples(observer: Observer, flow: string): MetricSample[] {
  const samples: MetricSample[] = []
  for (const [phase, h] of observer.commitTimes.byPhase) {
    let below = 0
    h.counts.forEach((n, i) => {
      below += n
      const le = i < BUCKETS_SECONDS.length ? String(BUCKETS_SECONDS[i]) : '+Inf'
      samples.push({ suffix: '_bucket', labels: { flow, phase, le }, value: below })
    })
    samples.push({ suffix: '_sum', labels: { flow, phase }, value: h.sumSeconds })
    samples.push({ suffix: '_count', labels: { flow, phase }, value: h.count })
  }
  return samples
}

function family(type: MetricFamily['type']) {
  return (name: string, help: string, samples: readonly MetricSample[]): MetricFamily => ({
    name: `millrace_${name}`,
    help,
    type,
    samples,
  })
}

const counter = family('counter')
const gauge = family('gauge')
const histogram = family('histogram')
