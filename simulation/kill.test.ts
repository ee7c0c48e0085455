/** The CI size of the kill runs; `npm run full -- kill` does twenty, with larger inputs. */
import { describe, expect, it } from 'vitest'
import { killRun } from './kill.ts'

describe('a flow that is killed with -9', () => {
  it('gives the output of an undisturbed run, with one worker', { timeout: 120_000 }, async () => {
    const report = await killRun({ seed: 101, kills: 3, workers: 1, rows: 120_000 })
    expect(report.kills).toBe(3)
    for (const [file, records] of Object.entries(report.outputs)) expect(records, file).toBeGreaterThan(10)
  })

  it('gives the output of an undisturbed run, with two workers', { timeout: 120_000 }, async () => {
    const report = await killRun({ seed: 102, kills: 2, workers: 2, rows: 120_000 })
    expect(report.kills).toBe(2)
    for (const [file, records] of Object.entries(report.outputs)) expect(records, file).toBeGreaterThan(10)
  })
})
