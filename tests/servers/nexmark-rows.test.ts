import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { finalTable } from '../../bench/nexmark/final-table.ts'
import type { Query } from '../../bench/nexmark/golden.ts'

/**
 * Of 200,000 events: rows, and the sum of the first 8 bytes of each row's SHA-1. Another oracle computed them, in Python,
 * from events that another generator made.
 */
const expected: Readonly<Partial<Record<Query, readonly [rows: number, checksum: string]>>> = {
  q0: [184_000, '368cff6de593d98e'],
  q1: [184_000, '1677979093f1d46e'],
  q2: [1_481, 'fd7aebcacb02177b'],
  q3: [882, '22e5a26e21419c1c'],
  q4: [5, '2f9f6aab0cfb0531'],
  q5: [14, '40bfe00d8ef07ed2'],
  q7: [2, '40f19ab35d2d79c9'],
  q8: [1_759, '691d1d95b0a2f170'],
  q11: [3_927, '334492d67724e287'],
  q18: [57_702, '94d99a83c6620d67'],
  q19: [88_178, '567b3d14bcc9d2b3'],
}

/** A row as that oracle writes it. */
const canonical: Readonly<Partial<Record<Query, (row: never) => unknown[]>>> = {
  q0: bid,
  q1: bid,
  q2: ({ auction, price }: Row) => [auction, price],
  q3: ({ name, city, state, id }: Row) => [name, city, state, id],
  q4: ({ category, average }: Row) => [category, average],
  q5: ({ end, auction, num }: Row) => [end, auction, num],
  q7: bid,
  q8: ({ id, name, start }: Row) => [id, name, start],
  q11: ({ bidder, bidCount, start, end }: Row) => [bidder, bidCount, start, end],
  q18: (row: Row) => [row.bidder, row.auction, row.price, row.channel, row.url, row.dateTime, row.extra],
  q19: ({ rank, row }: { rank: number; row: Row }) => [row.auction, rank, row.price],
}

type Row = Readonly<Record<string, unknown>>

function bid({ auction, bidder, price, dateTime, extra }: Row): unknown[] {
  return [auction, bidder, price, dateTime, extra]
}

function checksum(rows: readonly unknown[][]): string {
  let total = 0n
  for (const row of rows) total += createHash('sha1').update(JSON.stringify(row)).digest().readBigUInt64BE()
  return BigInt.asUintN(64, total).toString(16).padStart(16, '0')
}

test('every row of eleven queries is that of an oracle in another language', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-nexmark-rows-'))
  try {
    const program = fileURLToPath(new URL('../../bench/nexmark/run.ts', import.meta.url))
    const args = ['--query', 'all', '--events', '200000', '--workers', '2', '--output', folder]
    const run = spawnSync(process.execPath, ['--conditions=millrace-source', program, ...args], { encoding: 'utf8' })
    expect({ code: run.status, errors: run.stderr }).toEqual({ code: 0, errors: '' })
    const seen = Object.entries(canonical).map(([query, toRow]) => {
      const rows = finalTable(query as Query, folder).map((row) => toRow(row as never))
      return [query, [rows.length, checksum(rows)]]
    })
    expect(Object.fromEntries(seen)).toEqual(expected)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
