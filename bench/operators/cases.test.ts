import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dataflow } from 'millrace'
import { arraySink } from 'millrace/testing'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cases } from './cases.ts'
import { batchSource, inColumns, inRows, makeRows } from './rows.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-cases-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const rows = makeRows(5000)
const sideRows = rows.filter((row) => row.id % 10 === 0)

async function run(name: string): Promise<{ readonly taken: number; readonly given: number }> {
  const chosen = cases[name]
  const out: unknown[] = []
  const flow = dataflow('case')
  const time = { time: (row: { readonly at: number }) => row.at, disorder: '0ms' } as const
  const input = flow.source('main', batchSource(chosen.input === 'columns' ? inColumns(rows) : inRows(rows)), time)
  chosen.build(input, () => flow.source('side', batchSource(inRows(sideRows)), time)).sink('out', arraySink(out))
  const state = mkdtempSync(join(folder, 'state-'))
  const report = await flow.run({ state, execution: 'inline', loops: chosen.loops ?? 'auto' })
  return { taken: report.steps.main.recordsOut, given: out.length }
}

test.each(Object.keys(cases))('%s takes every record and gives results', async (name) => {
  const { taken, given } = await run(name)
  expect(taken).toBe(rows.length)
  expect(given).toBeGreaterThan(0)
})

test.each(Object.keys(cases).filter((name) => cases[name].byHand !== undefined))(
  '%s gives as many results by hand',
  async (name) => {
    const { given } = await run(name)
    expect(cases[name].byHand?.(rows).count).toBe(given)
  },
)
