/** The case at its own speed, which takes 20 seconds: in a file of its own, so that others run beside it. */
import { afterAll, expect, it } from 'vitest'
import { Program } from './case-kit.ts'
import type { InferenceRecord, SensorRecord } from './records.ts'

const program = new Program('main', ['--json', '--quick', '--seed', '1', '--simulate'])
afterAll(() => program.stop('SIGKILL'))

it('both streams last as long as the longer one, and give 40 samples, six batches and the final record', async () => {
  expect(await program.ended).toBe(0)
  const samples = program.records<SensorRecord>('data')
  expect(samples.map(({ sample_id }) => sample_id)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1))
  const batches = program.records<InferenceRecord>('ml')
  expect(batches.map(({ batch_id }) => batch_id)).toEqual([...[1, 2, 3, 4, 5, 6].map((n) => `batch_00${n}`), 'final'])
  expect(batches.every((batch) => batch.simulated === true)).toBe(true)
  const { elapsed, active_together } = program.last('summary') as unknown as Record<string, number>
  // 19.5 s and 3.7 s: at most 20.5 s, and 1.5 s for a busy machine. One after the other they would take 23.2 s.
  expect(elapsed).toBeGreaterThanOrEqual(19.4)
  expect(elapsed).toBeLessThan(20.5 + 1.5)
  expect(active_together).toBeGreaterThanOrEqual(3.6)
}, 60_000)
