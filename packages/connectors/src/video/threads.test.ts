import { readFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import type { Row } from '../../test/frames-flow.ts'
import { TestFolder } from '../../test/test-files.ts'
import { framePool } from './frame-pool.ts'

const folder = new TestFolder()
afterAll(() => folder.remove())

test('a frame taken in one worker thread is seen in another by its handle; no pixel crosses', async () => {
  process.env.MILLRACE_TEST_OUT = folder.at('seen.jsonl')
  const { default: flow } = await import('../../test/frames-flow.ts')
  await flow.run({ state: folder.at('state'), workers: 2 })
  const rows: Row[] = readFileSync(folder.at('seen.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  // The memory that the workers were given is that of this thread.
  const { taken, dropped } = framePool('crossing', { width: 640, height: 360, slots: 48 }).stats()
  expect([rows.length, taken + dropped]).toEqual([taken, 40])
  for (const { number, shade } of rows) expect(shade).toBe(number)
  expect(rows.filter(({ takenIn, seenIn }) => takenIn !== seenIn).length).toBeGreaterThan(0)
  expect(rows.filter(({ takenIn, seenIn }) => takenIn === seenIn).length).toBeGreaterThan(0)
})
