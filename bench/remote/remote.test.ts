/** The measuring of remote calls itself: what it counts, and that its processes do their work. */
import { expect, test } from 'vitest'
import { measureInChild } from '../lib/child.ts'
import type { Percentiles } from '../lib/histogram.ts'
import { measureCalls, measureItems } from './load.ts'
import { Rounds, ratios } from './rounds.ts'

const system = { name: 'a', args: { peer: 'x' }, isPeer: true }
const other = { name: 'b', args: {}, isPeer: false }

test('rounds measure every system in turn, and compare what was measured in the same round', async () => {
  const order: string[] = []
  const rounds = new Rounds(async (what, { name }, { callers }) => {
    order.push(`${what} ${name} ${callers}`)
    return { perS: order.length }
  })
  rounds.plan('calls', [system, other], { callers: 1 }, { ms: 5 })
  rounds.plan('calls', [system], { callers: 64 })
  await rounds.run(1)
  await rounds.run(1)
  expect(order.slice(0, 3)).toEqual(['calls a 1', 'calls b 1', 'calls a 64'])
  expect(rounds.figures('calls', other, 'perS', { callers: 1 })).toEqual([2, 5])
  expect(rounds.figures('calls', system, 'perS', { callers: 64 })).toEqual([3, 6])
  expect(rounds.figures('calls', other, 'perS', { callers: 64 })).toBeUndefined()
  expect(ratios([10, 30, 40], [1, 10, 10])).toEqual({ median: 4, min: 3, max: 10 })
})

test('a peer that fails is a line of the report; ours ends the measurement', async () => {
  const rounds = new Rounds(async () => {
    throw new Error('broken')
  })
  rounds.plan('calls', [system])
  await rounds.run(1)
  expect(rounds.failures).toEqual(['a: calls FAILED, Error: broken'])
  expect(rounds.figures('calls', system, 'perS')).toEqual([Number.NaN])
  rounds.plan('calls', [other])
  await expect(rounds.run(1)).rejects.toThrow('broken')
})

test('as many callers as asked call at once, and each call is counted', async () => {
  let now = 0
  let most = 0
  let calls = 0
  let warm = 0
  const call = async (): Promise<void> => {
    calls++
    most = Math.max(most, ++now)
    await new Promise((resolve) => setTimeout(resolve, 1))
    now--
  }
  const { count } = await measureCalls(call, 7, 20, () => {
    warm = calls
  })
  expect(most).toBe(7)
  expect(count).toBe(calls - warm)
})

test('a stream that loses or changes an item is no measurement', async () => {
  async function* numbers(count: number): AsyncGenerator<number> {
    for (let i = 0; i < count; i++) yield i
  }
  expect((await measureItems(numbers, 100, (i) => i)).perS).toBeGreaterThan(0)
  await expect(
    measureItems(
      (count) => numbers(count - 1),
      100,
      (i) => i,
    ),
  ).rejects.toThrow('9 of 10 items came')
  await expect(measureItems(numbers, 100, () => 0)).rejects.toThrow('item 1 is 1')
})

test('gateway, node and client are processes that measure, and a killed node shows', { timeout: 60_000 }, async () => {
  const run = <R>(...args: string[]) => measureInChild<R>('remote/run.ts', args)
  const calls = await run<Percentiles>('--case', 'calls', '--callers', '4', '--ms', '100')
  expect(calls.count).toBeGreaterThan(10)
  const sensor = await run<Percentiles>('--case', 'sensor', '--rate', '100', '--ms', '500', '--threads', 'yes')
  expect(sensor.count).toBe(50)
  const loss = await run<Readonly<Record<string, number>>>('--case', 'loss')
  expect(Math.min(loss.callMs, loss.streamMs)).toBeGreaterThan(0)
})
