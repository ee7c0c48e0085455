import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { NexmarkGenerator } from '../../bench/nexmark/generator.ts'
import { type Query, tables } from '../../bench/nexmark/golden.ts'
import { eventLine } from '../../bench/nexmark/line.ts'
import { GOLDEN } from '../../bench/nexmark/measures.ts'
import type { QueryRun } from '../../bench/nexmark/run.ts'

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** What a process of `npm run nexmark` printed, line by line, and the signal that ended it. */
async function nexmark(...args: readonly string[]): Promise<{ lines: string[]; signal: string | null }> {
  const program = fileURLToPath(new URL('../../bench/nexmark/run.ts', import.meta.url))
  const child = spawn(process.execPath, ['--conditions=millrace-source', program, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let errors = ''
  child.stdout.on('data', (bytes) => {
    out += bytes
  })
  child.stderr.on('data', (bytes) => {
    errors += bytes
  })
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.once('close', (...end) => resolve(end))
  })
  expect({ code, errors }).toEqual({ code: signal === null ? 0 : null, errors: '' })
  return { lines: out.split('\n').filter(Boolean), signal }
}

test('a million events are those of the patched Java generator, byte for byte', () => {
  const generator = new NexmarkGenerator({ seeds: GOLDEN.seeds })
  const hash = createHash('sha256')
  for (let k = 0; k < GOLDEN.events; k++) hash.update(eventLine(generator, k), 'latin1')
  expect(hash.digest('hex')).toBe('d8349c30fe977a2886bdf9f788ae375e1c952e07cbc5904fb73e78d92912d79b')
})

test.each([1, 2])('every query gives the golden results with %i workers', async (workers) => {
  const { lines } = await nexmark('--query', 'all', '--workers', String(workers), '--json')
  const runs = lines.map((line) => JSON.parse(line) as QueryRun)
  expect(Object.fromEntries(runs.map(({ query, checks }) => [query, checks]))).toEqual(
    Object.fromEntries(Object.entries(tables).map(([query, { golden }]) => [query, golden])),
  )
})

describe.each(Object.keys(tables) as Query[])('%s', (query) => {
  test('gives the golden results when it is killed in the middle, and goes on from its state', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-nexmark-golden-'))
    folders.push(folder)
    const kept = ['--query', query, '--state', folder, '--json']
    // Of a million events q3 and q8 read 80,000.
    const middle = query === 'q3' || query === 'q8' ? 40_000 : 450_000
    const killed = await nexmark(...kept, '--workers', '2', '--commit', '20ms', '--kill-after', String(middle))
    expect(killed).toEqual({ lines: [], signal: 'SIGKILL' })
    const { lines } = await nexmark(...kept, '--workers', '1')
    expect((JSON.parse(lines[0]) as QueryRun).checks).toEqual(tables[query].golden)
  })
})
