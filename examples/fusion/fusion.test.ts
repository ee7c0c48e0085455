import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const flow = fileURLToPath(new URL('./fusion.ts', import.meta.url))
const cli = fileURLToPath(new URL('../../packages/core/bin/millrace.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'millrace-fusion-'))
const START = 1_700_000_000_000

describe('the fusion example', () => {
  beforeAll(() => {
    execFileSync(process.execPath, ['--conditions=millrace-source', cli, 'run', flow], { cwd: folder, stdio: 'pipe' })
  }, 60_000)
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('gives each motion record once: fused, or without a position', () => {
    const fused = read('fused.jsonl')
    const without = read('without-position.jsonl')
    expect(fused.length + without.length).toBe(2 * 2000)
    // The last position before the tunnel is of second 7.8 and good for half a second.
    for (const row of without) {
      expect(row.at).toBeGreaterThan(START + 8_300)
      expect(row.at).toBeLessThan(START + 10_000)
    }
  })

  it('takes the latest position and frame at or before the motion record', () => {
    for (const row of read('fused.jsonl').filter((r) => r.at < START + 7_000)) {
      const ms = row.at - START
      expect(row.lat).toBeCloseTo(48 + Math.floor(ms / 200) / 10_000, 9)
      // Every fourth frame is lost, so it is this one or the one before.
      const frame = Math.floor((ms * 30) / 1000 + 1e-9)
      expect(row.frame).toBe(frame % 4 === 3 ? frame - 1 : frame)
    }
  })
})

function read(file: string): { at: number; lat: number; frame: number | null }[] {
  return readFileSync(join(folder, file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}
