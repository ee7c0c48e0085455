/** Hostile frames. 2,000 here; `npm run full -- remote-fuzz` sends 10,000 and leaves evidence. */
import { expect, test } from 'vitest'
import { fuzz } from './fuzz.ts'
import { heapBytes } from './heap.ts'

const messages = Math.round(2_000 * Number(process.env.MILLRACE_CASES ?? 1))

test(`after ${messages} hostile messages honest peers have their links, their calls are right, memory is as before`, async () => {
  const report = await fuzz(1, messages, heapBytes)
  expect(report.messages).toBeGreaterThanOrEqual(messages)
  expect(report.closed).toBeGreaterThan(report.links / 4)
  expect(report.bytesGrown).toBeLessThan(8 * 1024 * 1024)
})
