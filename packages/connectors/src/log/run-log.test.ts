import { expect, test } from 'vitest'
import flow from '../../test/run-log-flow.ts'
import { TestFolder } from '../../test/test-files.ts'
import { openLog } from './index.ts'

test.each([
  ['inline', 1],
  ['threads', 2],
] as const)('topics that name no log lie in that of the run: %s, %i workers', async (execution, workers) => {
  const folder = new TestFolder()
  const log = await openLog(folder.at('log'))
  await log.admin.createTopic('in', { partitions: 2 })
  const producer = await log.producer()
  await producer.send([0, 1, 2, 3].map((n) => ({ topic: 'in', partition: n % 2, value: JSON.stringify({ n }) })))
  await flow.run({ state: folder.at('state'), log: folder.at('log'), execution, workers })
  const consumer = await log.consumer({ topics: ['out'] })
  const rows = (await consumer.poll()).map(({ value }) => JSON.parse(String(value)).n)
  expect(rows.sort()).toEqual([0, 1, 2, 3])
  await log.close()
  folder.remove()
})
