import { describe, expect, expectTypeOf, test } from 'vitest'
import { edge, Graph } from '../graph/node.ts'
import { plan } from '../graph/plan.ts'
import type { Job } from '../runtime/job.ts'
import type { JobEvent } from '../runtime/job-contract.ts'
import { C, createCounters, sumCounters, WIDTH } from '../runtime/metrics.ts'
import { arraySink } from '../testing/array-sink.ts'
import { arraySource } from '../testing/array-source.ts'
import { SimClock } from '../testing/sim-clock.ts'
import { SimScheduler } from '../testing/sim-scheduler.ts'
import type { ObserveMessage } from './contract.ts'
import { metricFamilies } from './metrics.ts'
import type { ObservedEvent, ObservedJob, ObservedPartition } from './observed.ts'
import { Observer } from './observer.ts'

test("the engine's job and events have the shape the observer reads", () => {
  expectTypeOf<Job>().toExtend<ObservedJob>()
  expectTypeOf<JobEvent>().toExtend<ObservedEvent>()
})

/** numbers -> filter -> out, with counters the test moves, on virtual time. */
function fixture(hz = 1) {
  const graph = new Graph('flow')
  const options = { time: 'processing', disorderMs: 0, idleAfterMs: undefined, alignMs: 1, maxFutureMs: 1 } as const
  const numbers = graph.add({
    kind: 'source',
    name: 'numbers',
    inputs: [],
    spec: { type: 'source', source: arraySource([1]), options },
  })
  const filter = graph.add({
    kind: 'filter',
    inputs: [edge(numbers)],
    spec: { type: 'inline', op: 'filter', fn: () => true },
  })
  graph.add({ kind: 'sink', name: 'out', inputs: [edge(filter)], spec: { type: 'sink', sink: arraySink<unknown>([]) } })
  const counters = createCounters(3)
  const partitions: ObservedPartition[] = []
  const job: ObservedJob & { state: ObservedJob['state']; restarts: number } = {
    options: { plan: plan(graph), commitEveryMs: 100 },
    partitions: [partitions],
    gauges: [],
    loopLagMs: [2],
    lastCommitAt: 5_000,
    commits: 3,
    failedCommits: 0,
    restarts: 0,
    state: 'running',
    stepCounters: (id) => sumCounters([counters], id),
  }
  const scheduler = new SimScheduler(1)
  const clock = new SimClock(scheduler, 0)
  const observer = new Observer({ clock, scheduler, hz, pid: 1 })
  const add = (step: number, counter: keyof typeof C, n: number): void => {
    counters[step * WIDTH + C[counter]] += n
  }
  /** Moves n records through, of which the filter takes out half. */
  const flow = (n: number): void => {
    add(0, 'recordsIn', n)
    add(0, 'recordsOut', n)
    add(1, 'recordsIn', n)
    add(1, 'recordsOut', n / 2)
    add(1, 'filtered', n / 2)
    add(2, 'recordsIn', n / 2)
    add(2, 'recordsOut', n / 2)
  }
  const wait = (virtualMs: number) => scheduler.run(() => false, { virtualMs })
  const commit = (epoch: number): void => {
    observer.onEvent({ type: 'commit', epoch, at: clock.now(), phases: { barrier: 1, decision: epoch }, bytes: 10 })
  }
  return { job, observer, partitions, scheduler, add, flow, wait, commit }
}

function collect(observer: Observer): ObserveMessage[] {
  const messages: ObserveMessage[] = []
  observer.listen((message) => messages.push(message))
  return messages
}

const typesOf = (messages: readonly ObserveMessage[]) => messages.map((m) => m.type)

describe('a reader', () => {
  test('gets hello and plan first, then a sample and the sources every second', async () => {
    const { observer, job, wait } = fixture()
    observer.attach(job)
    const messages = collect(observer)
    await wait(2_500)
    expect(typesOf(messages)).toEqual(['hello', 'plan', 'sample', 'sources', 'balance', 'sample', 'sources'])
    expect(messages.map((m) => m.seq)).toEqual([1, 2, 3, 4, 5, 6, 7])
  })

  test('hears of what happened before the job was attached', () => {
    const { observer, job } = fixture()
    const messages = collect(observer)
    observer.onEvent({ type: 'starting', attempt: 0, epoch: 7 })
    observer.attach(job)
    expect(typesOf(messages)).toEqual(['hello', 'plan', 'change'])
    expect(messages[2]).toMatchObject({ kind: 'starting', text: 'continuing after commit 7' })
  })

  test('is sent nothing any more when it has left, and then no timer runs', async () => {
    const { observer, job, wait } = fixture()
    observer.attach(job)
    const leave = observer.listen(() => {})
    leave()
    expect(await wait(10_000)).toBe('idle')
  })

  test('gets totals, and shares of time over the interval', async () => {
    const { observer, job, flow, add, wait } = fixture()
    observer.attach(job)
    const messages = collect(observer)
    await wait(1_500)
    flow(1000)
    add(1, 'busyMs', 250)
    await wait(1_000)
    const last = messages.filter((m) => m.type === 'sample').at(-1)
    expect(last).toMatchObject({
      interval: 1000,
      cols: { recordsIn: [1000, 1000, 500], watermark: [null, null, null] },
    })
    expect(last?.cols.busy[1]).toBeCloseTo(0.25, 2)
  })

  test('that is slow gets the newest sample, commits merged, and is told what it missed', async () => {
    const { observer, job, commit, wait } = fixture()
    observer.attach(job)
    const slow = observer.subscribe({ types: ['sample', 'commit'] })
    for (let epoch = 1; epoch <= 40; epoch++) {
      commit(epoch)
      await wait(100)
    }
    const messages: ObserveMessage[] = []
    for (let m = slow.take(); m !== undefined; m = slow.take()) messages.push(m)
    expect(messages[0]).toMatchObject({ type: 'dropped', what: 'sample', because: 'slow reader' })
    expect(messages.filter((m) => m.type === 'commit')).toMatchObject([
      { n: 40, epoch: 40, bytes: 400, phases: { decision: 40 } },
    ])
    expect(messages.map((m) => m.seq)).toEqual(messages.map((_, i) => i + 1))
  })

  test('gets at most ten commits a second, none of them forgotten', async () => {
    const { observer, job, commit, wait } = fixture()
    observer.attach(job)
    const messages = collect(observer)
    for (let epoch = 1; epoch <= 100; epoch++) {
      commit(epoch)
      await wait(10)
    }
    await wait(200)
    const commits = messages.filter((m) => m.type === 'commit')
    expect(commits.length).toBeLessThanOrEqual(13)
    expect(commits.reduce((n, m) => n + m.n, 0)).toBe(100)
  })

  test('gets at most fifty log lines a second and the number of the others', async () => {
    const { observer, job, wait } = fixture()
    observer.attach(job)
    const messages = collect(observer)
    for (let i = 0; i < 80; i++) observer.onEvent({ type: 'log', level: 'warn', step: 'out', message: `line ${i}` })
    await wait(1_100)
    const logs = messages.filter((m) => m.type === 'log')
    expect(logs).toHaveLength(51)
    expect(logs[50]).toMatchObject({ n: 30 })
    expect(messages).toContainEqual(expect.objectContaining({ type: 'dropped', what: 'log', n: 30 }))
  })

  test('hears of dead letters by step', async () => {
    const { observer, job, add, wait } = fixture()
    observer.attach(job)
    const messages = collect(observer)
    add(1, 'dead', 2)
    await wait(1_100)
    add(1, 'dead', 3)
    await wait(1_000)
    expect(messages.filter((m) => m.type === 'dead')).toMatchObject([
      { step: 1, count: 2, added: 2 },
      { step: 1, count: 5, added: 3 },
    ])
  })

  test('gets a last sample, the balance and the end, and its iteration ends', async () => {
    const { observer, job, flow } = fixture()
    observer.attach(job)
    const subscription = observer.subscribe()
    flow(10)
    job.state = 'ended'
    observer.onEvent({ type: 'ended', outcome: 'finished' })
    const types: string[] = []
    for await (const message of subscription) types.push(message.type)
    expect(types).toEqual(['hello', 'plan', 'sample', 'sources', 'balance', 'change'])
  })
})

describe('the balance', () => {
  test('is settled only after records have stopped moving', async () => {
    const { observer, job, flow, commit, wait } = fixture()
    observer.attach(job)
    const messages = collect(observer)
    flow(10)
    commit(1)
    flow(10)
    await wait(1_100)
    commit(2)
    await wait(1_000)
    const balances = messages.filter((m) => m.type === 'balance')
    expect(balances[0]).toMatchObject({ in: 20, remainder: null })
    expect(balances[1]).toMatchObject({ in: 20, filtered: 10, out: 10, inFlight: 0, remainder: 0 })
  })

  test('shows a lost record at its step and in the flow', () => {
    const { observer, job, flow, add } = fixture()
    observer.attach(job)
    const messages = collect(observer)
    flow(10)
    add(1, 'filtered', -1)
    observer.onEvent({ type: 'ended', outcome: 'finished' })
    const balance = messages.find((m) => m.type === 'balance')
    expect(balance).toMatchObject({ remainder: 1 })
    expect(balance?.steps.map((s) => s.remainder)).toEqual([0, 1, 0])
  })
})

describe('partitions', () => {
  const quiet: ObservedPartition = {
    source: 'numbers',
    partition: '0',
    position: 3,
    watermark: 100,
    lastRecordAtMs: 50,
    isIdle: false,
    isEnded: false,
    isPausedByAlignment: false,
    lag: 10,
    progress: 0.5,
    rows: 3,
  }

  test('say which steps they hold; beyond 64 they are added up', async () => {
    const { observer, job, partitions, wait } = fixture()
    for (let i = 0; i < 70; i++) partitions.push({ ...quiet, partition: String(i), watermark: 100 + i })
    observer.attach(job)
    const messages = collect(observer)
    await wait(1_100)
    const sources = messages.find((m) => m.type === 'sources')
    expect(sources?.partitions).toHaveLength(64)
    expect(sources?.partitions[0]).toMatchObject({
      partition: '0',
      watermark: 100,
      holds: [1, 2],
      lag: 10,
      progress: 0.5,
    })
    expect(sources?.rest).toEqual({ partitions: 6, lag: 60, records: 18 })
    expect(sources).toMatchObject({ lag: 700, progress: 0.5 })
  })

  test('of a processing-time or unstarted source have no watermark, which is null and not 0', async () => {
    const { observer, job, partitions, wait } = fixture()
    partitions.push({ ...quiet, watermark: Number.NEGATIVE_INFINITY, rows: 0 })
    observer.attach(job)
    const messages = collect(observer)
    await wait(1_100)
    expect(messages.find((m) => m.type === 'sources')?.partitions[0]).toMatchObject({
      watermark: null,
      lastRecordAt: null,
    })
  })
})

describe('metrics', () => {
  test('have the prefix, base units and no label beyond the closed set', () => {
    const { observer, job, flow, commit, partitions } = fixture()
    partitions.push({
      source: 'numbers',
      partition: '0',
      position: 1,
      watermark: 1,
      lastRecordAtMs: 1,
      isIdle: true,
      isEnded: false,
      isPausedByAlignment: false,
      lag: 4,
      progress: undefined,
      rows: 9,
    })
    observer.attach(job)
    flow(10)
    commit(1)
    const families = metricFamilies(observer, '1.2.3')
    const allowed = ['flow', 'step', 'source', 'partition', 'direction', 'phase', 'outcome', 'reason', 'le', 'version']
    for (const { name, type, samples } of families) {
      expect(name).toMatch(/^millrace_[a-z_]+$/)
      expect(name.endsWith('_total')).toBe(type === 'counter')
      for (const sample of samples) expect(allowed).toEqual(expect.arrayContaining(Object.keys(sample.labels)))
    }
    const value = (name: string, labels: object) =>
      families
        .find((f) => f.name === `millrace_${name}`)
        ?.samples.find((s) => Object.entries(labels).every(([k, v]) => s.labels[k] === v))?.value
    expect(value('step_records_total', { step: 'numbers', direction: 'in' })).toBe(10)
    expect(value('source_lag_records', { partition: '0' })).toBe(4)
    expect(value('source_idle', { partition: '0' })).toBe(1)
    expect(value('commit_last_success_timestamp_seconds', {})).toBe(5)
    expect(value('commit_duration_seconds', { phase: 'decision', le: '0.001' })).toBe(1)
    expect(value('commits_total', { outcome: 'committed' })).toBe(3)
    expect(value('series', {})).toBe(families.reduce((n, f) => n + f.samples.length, 0))
  })

  test('are there without a reader of the stream', () => {
    const { observer, job } = fixture()
    observer.attach(job)
    expect(metricFamilies(observer, '0').length).toBeGreaterThan(20)
    expect(observer.snapshot().map((m) => m.type)).toEqual(['hello', 'plan', 'sample', 'sources', 'balance'])
  })
})

test('a rate of samples out of range is refused', () => {
  expect(() => fixture(50)).toThrow(expect.objectContaining({ code: 'OBSERVE_HZ' }))
})
