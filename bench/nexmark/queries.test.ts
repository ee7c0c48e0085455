import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { finalTable } from './final-table.ts'
import { type Query, tables } from './golden.ts'
import { type Events, eventsOf, oracles } from './oracle.ts'

const queries = Object.keys(tables) as Query[]

interface Load {
  readonly events: number
  readonly rate: number
}

/** Slow events give many windows and sessions, fast ones many events of one ms. */
const slow: Load = { events: 20_000, rate: 500 }
const fast: Load = { events: 20_000, rate: 10_000 }

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-nexmark-test-'))
  folders.push(folder)
  return folder
}

/** Runs queries in a process of their own. */
async function run(
  query: string,
  { events, rate }: Load,
  folder: string,
  more: readonly string[],
): Promise<'ended' | 'killed'> {
  const program = fileURLToPath(new URL('./run.ts', import.meta.url))
  const given = ['--query', query, '--events', String(events), '--rate', String(rate)]
  const kept = ['--state', join(folder, 'kept'), '--output', join(folder, 'rows')]
  const child = spawn(process.execPath, ['--conditions=millrace-source', program, ...given, ...kept, ...more], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let errors = ''
  child.stderr.on('data', (bytes) => {
    errors += bytes
  })
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.once('close', (...end) => resolve(end))
  })
  if (signal === 'SIGKILL') return 'killed'
  if (code !== 0) throw new Error(`code ${code}: ${errors}`)
  return 'ended'
}

interface Ranked {
  readonly rank: number
  readonly row: { readonly auction: number; readonly price: number }
}

function comparable(query: Query, rows: readonly object[]): string[] {
  if (query !== 'q19') return sorted(rows)
  return sorted((rows as Ranked[]).map(({ rank, row }) => ({ auction: row.auction, rank, price: row.price })))
}

const sorted = (rows: readonly object[]): string[] => {
  return rows.map((row) => JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)))).sort()
}

function expectAll(events: Events, folder: string, names = queries): void {
  for (const query of names) {
    const rows = comparable(query, finalTable(query, join(folder, 'rows')))
    const byDefinition = sorted(oracles[query](events))
    expect({ query, rows: rows.length }).toEqual({ query, rows: byDefinition.length })
    expect(rows.filter((row, i) => row !== byDefinition[i]).slice(0, 3)).toEqual([])
  }
}

// A busy machine may take long to start a process.
const TIMEOUT = { timeout: 120_000 }

describe.each([
  ['slow', slow],
  ['fast', fast],
])('%s events', TIMEOUT, (_name, load) => {
  const events = eventsOf(load.events, { rate: load.rate })

  test.each([
    ['in the main thread', ['--inline']],
    ['with two workers', ['--workers', '2']],
  ])('every query gives what its definition says, %s', async (_where, how) => {
    const folder = newFolder()
    await run('all', load, folder, how)
    expectAll(events, folder)
  })
})

test(
  'every query gives the same when it is stopped in the middle, and goes on with another number of workers',
  TIMEOUT,
  async () => {
    const folder = newFolder()
    const rowsOf = () => finalTable('q0', join(folder, 'rows')).length
    await run('all', slow, folder, ['--workers', '2', '--stop-at', String(slow.events / 2)])
    const before = rowsOf()
    await run('all', slow, folder, ['--inline'])
    expectAll(eventsOf(slow.events, slow), folder)
    expect(before).toBeGreaterThan(rowsOf() * 0.3)
    expect(before).toBeLessThan(rowsOf() * 0.9)
  },
)

// tests/servers/nexmark.test.ts does it with every query, and a million events.
test('q9 gives the same when its process is killed', TIMEOUT, async () => {
  const load: Load = { events: 150_000, rate: 10_000 }
  const folder = newFolder()
  const dying = ['--commit', '20ms', '--workers', '2', '--kill-after', '40000']
  expect(await run('q9', load, folder, dying)).toBe('killed')
  expect(await run('q9', load, folder, ['--workers', '2'])).toBe('ended')
  expectAll(eventsOf(load.events, load), folder, ['q9'])
})
