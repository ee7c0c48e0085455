import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

interface Reading {
  readonly sensor: string
  readonly value: number
  readonly at: number
}

const here = fileURLToPath(new URL('.', import.meta.url))
const cli = fileURLToPath(new URL('../../packages/core/bin/millrace.js', import.meta.url))

it('gives the mean of every sensor and ten seconds', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-averages-'))
  try {
    copyFileSync(join(here, 'readings.jsonl'), join(folder, 'readings.jsonl'))
    const args = ['--conditions=millrace-source', cli, 'run', join(here, 'averages.ts')]
    execFileSync(process.execPath, args, { cwd: folder, stdio: 'pipe' })
    const got = parse<{ key: string; window: { start: number }; mean: number; n: number }>(folder, 'averages.jsonl')
    expect(got.map((row) => [row.key, row.window.start, row.n, row.mean]).sort()).toEqual(expected(folder))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** The same from scratch, over the whole file. */
function expected(folder: string): unknown[] {
  const groups = new Map<string, number[]>()
  for (const r of parse<Reading>(folder, 'readings.jsonl').filter((r) => r.value > 0)) {
    const id = JSON.stringify([r.sensor, Math.floor(r.at / 10_000) * 10_000])
    groups.set(id, [...(groups.get(id) ?? []), r.value])
  }
  return [...groups]
    .map(([id, values]) => {
      const mean = values.reduce((a, b) => a + b) / values.length
      return [...JSON.parse(id), values.length, expect.closeTo(mean, 10)]
    })
    .sort()
}

function parse<T>(folder: string, file: string): T[] {
  return readFileSync(join(folder, file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as T)
}
