/** What a source that has senders to answer is told, and what connectors report of themselves. */
import { expect, test } from 'vitest'
import type { Position, Source, SourceContext } from '../../src/connector.ts'
import { dataflow } from '../../src/dataflow.ts'
import { metricFamilies, Observer } from '../../src/observe/index.ts'
import { arraySink } from '../../src/testing/index.ts'
import { Feed, feedSource, type Row, Virtual } from './kit.ts'

const row = (n: number): Row => ({ key: 'k', at: n, n })

/** A source over one feed that writes down what it hears of commits. */
function listening(feed: Feed<Row>, heard: (position: Position) => void, opened?: (ctx: SourceContext) => void) {
  const source = feedSource({ a: feed })
  return {
    ...source,
    async open(partition, position, ctx) {
      opened?.(ctx)
      const reader = await source.open(partition, position, ctx)
      return { ...reader, committed: heard }
    },
  } satisfies Source<Row>
}

function flowOf(source: Source<Row>) {
  const flow = dataflow('acknowledged')
  flow.source('in', source, { time: (r) => r.at, disorder: '0ms' }).sink('out', arraySink<Row>([]))
  return flow
}

test('a reader hears of each position once its commit is durable, and of none twice', async () => {
  const feed = new Feed<Row>()
  const heard: { position: Position; manifests: number }[] = []
  const machine = new Virtual()
  const manifests = (): number => machine.writes.filter((write) => write.startsWith('rename')).length
  const source = listening(feed, (position) => heard.push({ position, manifests: manifests() }))
  machine.start(flowOf(source))
  await machine.pass(1000)
  expect(heard).toEqual([])

  feed.push(row(1), row(2))
  const before = manifests()
  await machine.pass(1000)
  expect(heard.map((h) => h.position)).toEqual([2])
  expect(heard[0].manifests).toBeGreaterThan(before)

  await machine.pass(1000)
  feed.push(row(3))
  await machine.pass(1000)
  feed.end()
  await machine.end()
  expect(heard.map((h) => h.position)).toEqual([2, 3])
})

test('a commit that fails is not acknowledged', async () => {
  const feed = new Feed<Row>()
  const heard: Position[] = []
  const machine = new Virtual()
  machine.start(flowOf(listening(feed, (position) => heard.push(position))))
  await machine.pass(500)
  machine.fault = () => ({ type: 'full' })
  feed.push(row(1))
  await expect(machine.pass(1000)).rejects.toThrow()
  expect(heard).toEqual([])
})

test('what a restart finds committed is not acknowledged again', async () => {
  const feed = new Feed<Row>()
  const first: Position[] = []
  const machine = new Virtual()
  machine.start(flowOf(listening(feed.push(row(1)), (position) => first.push(position))))
  await machine.pass(1000)
  expect(first).toEqual([1])

  const second: Position[] = []
  const next = machine.crash()
  next.start(flowOf(listening(feed, (position) => second.push(position))))
  await next.pass(1000)
  feed.push(row(2)).end()
  await next.end()
  expect(second).toEqual([2])
})

test('records a source had to let go count as in and dropped, and its figures are observed', async () => {
  const feed = new Feed<Row>()
  let context: SourceContext | undefined
  const machine = new Virtual()
  machine.start(
    flowOf(
      listening(
        feed,
        () => {},
        (ctx) => {
          context = ctx
        },
      ),
    ),
  )
  await machine.pass(100)
  context?.lost(3)
  context?.gauge('connections', 7)
  feed.push(row(1))
  await machine.pass(2500)
  const { job } = machine.run as NonNullable<typeof machine.run>
  const observer = new Observer({ clock: machine.clock, scheduler: machine.scheduler.process('observer'), pid: 1 })
  observer.attach(job)
  const families = metricFamilies(observer, '0')
  const figure = (name: string, labels: Record<string, string>) =>
    families
      .find((family) => family.name === `millrace_${name}`)
      ?.samples.find((sample) => Object.entries(labels).every(([k, v]) => sample.labels[k] === v))?.value
  expect(figure('step_records_total', { step: 'in', direction: 'in' })).toBe(4)
  expect(figure('dropped_records_total', { step: 'in', reason: 'buffer-full' })).toBe(3)
  expect(figure('connector', { step: 'in', figure: 'connections' })).toBe(7)
  feed.end()
  await machine.end()
})

test('a source that anybody may send to skips bad records unless the flow says otherwise', async () => {
  const bad = [row(1), { ...row(2), at: Number.NaN }, row(3)]
  const exposed = (): Source<Row> => ({ ...feedSource({ a: new Feed<Row>().push(...bad).end() }), onError: 'skip' })
  const out: Row[] = []
  const flow = dataflow('exposed')
  flow.source('in', exposed(), { time: (r) => r.at, disorder: '0ms' }).sink('out', arraySink<Row>(out))
  const report = await new Virtual().start(flow).end()
  expect(out.map((r) => r.n)).toEqual([1, 3])
  expect(report.steps.in.droppedError).toBe(1)

  const strict = dataflow('strict')
  strict
    .source('in', exposed(), { time: (r) => r.at, disorder: '0ms', onError: 'fail' })
    .sink('out', arraySink<Row>([]))
  await expect(new Virtual().start(strict).end()).rejects.toMatchObject({ code: 'TIME_INVALID' })
})
