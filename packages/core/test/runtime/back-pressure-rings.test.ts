/** What the rings between threads hold under the drop policies, and that it is counted. */
import { expect, test } from 'vitest'
import { RowBatch } from '../../src/batch/batch.ts'
import { dataflow } from '../../src/index.ts'
import { createCounters, sumCounters } from '../../src/runtime/metrics.ts'
import { nodePorts } from '../../src/runtime/node-ports.ts'
import { createSharedChannels, RingTransport } from '../../src/runtime/ring-transport.ts'
import { arraySink } from '../../src/testing/array-sink.ts'
import { arraySource } from '../../src/testing/array-source.ts'

function joined(capacity: number, whenFull: 'block' | 'drop-oldest' | 'drop-newest') {
  const flow = dataflow('rings')
  flow
    .source('in', arraySource<number>([]), { time: 'processing' })
    .keyBy((n) => n)
    .process<number>('work', () => ({ onRecord: (n, ctx) => ctx.emit(n) }), { buffer: { capacity, whenFull } })
    .sink('out', arraySink<number>([]))
  const plan = flow.plan(2)
  const channel = plan.channels.find((c) => c.kind === 'key')
  if (channel === undefined) throw new Error('no exchange')
  const shared = createSharedChannels(plan)
  const counters = createCounters(plan.nodes.length)
  const { scheduler } = nodePorts()
  const sender = new RingTransport(shared, 0, 2, counters, scheduler).sender(channel, 0, 1)
  const lane = new RingTransport(shared, 1, 2, counters, scheduler).lane(channel, 0, 1)
  const take = (): number[] => {
    const rows: number[] = []
    for (;;) {
      const element = lane.take()
      if (element === undefined) return rows
      if (element.type === 'batch')
        for (let i = 0; i < element.batch.length; i++) rows.push(element.batch.keep(i) as number)
    }
  }
  return { sender, take, dropped: () => sumCounters([counters], channel.to.id).droppedFull }
}

const batch = (from: number, length: number) => {
  const rows = Array.from({ length }, (_, i) => from + i)
  return { type: 'batch', batch: new RowBatch(rows, rows, rows) } as const
}

test.each([
  ['drop-oldest', 50, 7],
  ['drop-oldest', 50, 50],
  ['drop-oldest', 3, 3],
  ['drop-newest', 50, 7],
  ['drop-newest', 50, 50],
  ['drop-newest', 3, 2],
] as const)(
  '%s: ring and backlog together hold no more than %d records, in batches of %d',
  (whenFull, capacity, size) => {
    const { sender, take, dropped } = joined(capacity, whenFull)
    const sent = 1000 - (1000 % size)
    for (let from = 0; from < sent; from += size) {
      sender.send(batch(from, size))
      expect(sender.queued()).toBeLessThanOrEqual(capacity)
    }
    const rows: number[] = []
    for (let more = take(); more.length > 0; more = take()) {
      rows.push(...more)
      sender.pump()
    }
    expect(rows).toHaveLength(capacity)
    expect(rows.length + dropped()).toBe(sent)
    expect(rows).toEqual(rows.toSorted((a, b) => a - b))
    expect(new Set(rows).size).toBe(rows.length)
    if (whenFull === 'drop-oldest') expect(rows.at(-1)).toBe(sent - 1)
    else expect(rows).toEqual(Array.from({ length: capacity }, (_, i) => i))
  },
)

test('block: a sender that asks for room holds the capacity and what one call gives', () => {
  const { sender, take, dropped } = joined(50, 'block')
  let sent = 0
  while (sender.hasRoom()) {
    sender.send(batch(sent, 7))
    sent += 7
  }
  expect(sender.queued()).toBe(sent)
  expect(sent).toBeLessThanOrEqual(50 + 7)
  const rows: number[] = []
  for (let more = take(); more.length > 0; more = take()) {
    rows.push(...more)
    sender.pump()
  }
  expect([rows.length, dropped()]).toEqual([sent, 0])
  expect(sender.hasRoom()).toBe(true)
})
