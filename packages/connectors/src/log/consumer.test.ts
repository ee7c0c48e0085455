import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TestFolder } from '../../test/test-files.ts'
import { type Consumer, type Log, openLog } from './index.ts'

let folder: TestFolder
let log: Log
beforeEach(async () => {
  folder = new TestFolder()
  log = await openLog(folder.path, { upkeepEvery: '30ms' })
})
afterEach(async () => {
  await log.close()
  folder.remove()
})

const options = { topics: ['t'], group: 'g', lease: '2s', revokeWithin: '100ms' } as const

/** A member that has read both partitions, of which one is taken from it. */
async function afterTakingByForce(): Promise<{ slow: Consumer; other: Consumer; kept: string }> {
  await log.admin.createTopic('t', { partitions: 2 })
  await (await log.producer()).send([0, 1].map((partition) => ({ topic: 't', partition, value: `${partition}` })))
  const slow = await log.consumer(options)
  expect(await valuesOf(slow, 2)).toEqual(['0', '1'])
  const other = await log.consumer(options)
  await other.poll({ wait: '0ms' })
  // It computes for longer than `revokeWithin`; what the other one does meanwhile takes a partition from it.
  await sleep(200)
  const [taken] = await valuesOf(other, 1)
  return { slow, other, kept: taken === '0' ? '1' : '0' }
}

async function valuesOf(consumer: Consumer, count: number): Promise<string[]> {
  const values: string[] = []
  for (const until = Date.now() + 10_000; values.length < count && Date.now() < until; )
    values.push(...(await consumer.poll({ wait: '50ms' })).map((record) => String(record.value)))
  return values.sort()
}

test('a member whose commit was refused reads again what it still has', async () => {
  const { slow, other, kept } = await afterTakingByForce()
  await expect(slow.commit()).rejects.toMatchObject({ code: 'LOG_GENERATION' })
  await other.commit()
  expect(await valuesOf(slow, 1)).toEqual([kept])
  await slow.commit()
  expect((await log.admin.offsets('g')).map(({ lag }) => lag)).toEqual([0, 0])
})

test('a member that finds a partition gone before its commit is refused once, and reads again what it still has', async () => {
  const { slow, kept } = await afterTakingByForce()
  await slow.poll({ wait: '0ms' })
  await expect(slow.commit()).rejects.toMatchObject({ code: 'LOG_GENERATION' })
  expect(await valuesOf(slow, 1)).toEqual([kept])
  await slow.commit()
})

test('a refused transaction is read again by those who still have its partitions', async () => {
  await log.admin.createTopic('out')
  const { slow, kept } = await afterTakingByForce()
  const producer = await log.producer({ transactionalId: 'x' })
  const move = async (value: string): Promise<void> => {
    await producer.begin()
    await producer.send({ topic: 'out', value })
    await producer.sendOffsets(slow)
    await producer.commit()
  }
  await expect(move('0 and 1')).rejects.toMatchObject({ code: 'LOG_GENERATION' })
  await move((await valuesOf(slow, 1)).join())
  expect(await valuesOf(await log.consumer({ topics: ['out'] }), 1)).toEqual([kept])
})

test('a reader that retention overtakes goes on with what is left and says how many it missed', async () => {
  await log.admin.createTopic('t', { retention: '50ms' })
  const producer = await log.producer()
  await producer.send([0, 1, 2].map((n) => ({ topic: 't', value: `${n}` })))
  const consumer = await log.consumer({ topics: ['t'] })
  expect((await consumer.poll({ maxRecords: 1 })).length).toBe(1)
  await consumer.seek('t', 0, 1)
  for (const until = Date.now() + 10_000; (await first()) < 3 && Date.now() < until; ) await sleep(20)
  await producer.send({ topic: 't', value: '3' })
  expect(await valuesOf(consumer, 1)).toEqual(['3'])
  expect(consumer.skipped).toBe(2)
})

const first = async (): Promise<number> => (await log.admin.describe('t')).partitions[0].first

test('a beginning by time is the first record of that time or later, for consumers and for groups', async () => {
  await log.admin.createTopic('t', { retention: 'forever' })
  const producer = await log.producer()
  await producer.send([100, 300, 200, 400].map((timestamp) => ({ topic: 't', value: `${timestamp}`, timestamp })))
  const from = async (time: number) => valuesOf(await log.consumer({ topics: ['t'], from: { time } }), 1)
  expect(await from(150)).toEqual(['200', '300', '400'])
  expect(await from(400)).toEqual(['400'])
  await log.admin.resetOffsets('g', 't', { time: 301 })
  expect(await log.admin.offsets('g')).toEqual([{ topic: 't', partition: 0, committed: 3, lag: 1 }])
  await expect(log.consumer({ topics: ['t'], from: { time: Number.NaN } })).rejects.toMatchObject({
    code: 'LOG_OPTION',
  })
  await expect(log.admin.offsetsForTimes('t', Number.POSITIVE_INFINITY)).rejects.toMatchObject({ code: 'LOG_OPTION' })
})

test('a time is found among thousands of batches of which deletes and compaction have left gaps', async () => {
  await log.admin.createTopic('t', { compact: true })
  const producer = await log.producer()
  // Each batch is a record; keys come again, so that compaction removes most of the older batches whole.
  for (let i = 0; i < 300; i++)
    await producer.send({ topic: 't', key: `k${(i * 7) % 40}`, value: `${i}`, timestamp: i })
  const left = async () => {
    const consumer = await log.consumer({ topics: ['t'] })
    const records = await consumer.poll({ wait: '0ms', maxRecords: 1000 })
    await consumer.close()
    return records
  }
  for (const until = Date.now() + 10_000; (await left()).length > 60 && Date.now() < until; ) await sleep(50)
  const records = await left()
  expect(records.length).toBeLessThan(300)
  for (let time = -1; time <= 300; time += 7) {
    const expected = records.find((record) => record.timestamp >= time)?.offset ?? 300
    expect(await log.admin.offsetsForTimes('t', time)).toEqual([{ partition: 0, offset: expected }])
  }
})
