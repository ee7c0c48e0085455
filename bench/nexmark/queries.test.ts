import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
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

/** The final table: the changes added up, or the last row of each key. */
function finalTable(query: Query, folder: string): string[] {
  const file = join(folder, 'rows', `${query}.jsonl`)
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : []
  const table = tables[query]
  if (table.type === 'cells' && table.keys > 0) {
    const cells = Object.values(table.cells).slice(0, table.keys) as ((row: never) => number)[]
    const rows = new Map(
      lines.map((line) => [cells.map((cell) => cell(JSON.parse(line.slice(1)) as never)).join(), line]),
    )
    return comparable(
      query,
      [...rows.values()].map((line) => JSON.parse(line.slice(1)) as object),
    )
  }
  const counts = new Map<string, number>()
  for (const line of lines) {
    const row = line.slice(1)
    const count = (counts.get(row) ?? 0) + (line[0] === '-' ? -1 : 1)
    if (count === 0) counts.delete(row)
    else counts.set(row, count)
  }
  const rows = [...counts].flatMap(([row, count]) => {
    expect(count).toBeGreaterThan(0)
    return Array.from({ length: count }, () => JSON.parse(row) as object)
  })
  return comparable(query, rows)
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
    const rows = finalTable(query, folder)
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
    const rowsOf = () => finalTable('q0', folder).length
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
