import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sinkContract, sourceContract } from 'millrace/testing'
import { describe, expect, test } from 'vitest'
import { letterSource, partSink } from './letters.ts'

/** A folder of letters, the third of them not UTF-8. */
function inbox() {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-letters-'))
  const texts = [Buffer.from('one'), Buffer.from('two'), Buffer.from([0xff]), Buffer.from('four'), Buffer.from('')]
  texts.forEach((text, i) => {
    writeFileSync(join(folder, `${i}.txt`), text)
  })
  const rows = [
    { name: '0.txt', text: 'one' },
    { name: '1.txt', text: 'two' },
    { name: '3.txt', text: 'four' },
    { name: '4.txt', text: '' },
  ]
  return {
    folder,
    rows: { [folder]: rows },
    rejected: { [folder]: 1 },
    close: () => rmSync(folder, { recursive: true }),
  }
}

function outbox() {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-parts-'))
  const parts = () => readdirSync(folder).filter((name) => name.startsWith('part-'))
  const lines = (name: string) => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1)
  return {
    sink: partSink<string>(folder, (row) => row),
    read: () => parts().sort().flatMap(lines),
    close: () => rmSync(folder, { recursive: true }),
  }
}

describe('the connectors of the guide keep the contracts', () => {
  for (const follow of [false, true]) {
    const make = () => {
      const fixture = inbox()
      return { ...fixture, source: letterSource({ folder: fixture.folder, follow }) }
    }
    for (const check of sourceContract(follow ? 'letters, followed' : 'letters', { make })) test(check.name, check.run)
  }
  for (const check of sinkContract('parts', { make: outbox, rows: ['a', 'b', 'c', 'd'] })) test(check.name, check.run)
})

test('the guide shows letters.ts, whole and as it is', () => {
  const guide = readFileSync(new URL('../../../docs/guide/write-your-own-connector.md', import.meta.url), 'utf8')
  const code = readFileSync(new URL('./letters.ts', import.meta.url), 'utf8')
  const blocks = [...guide.matchAll(/<!-- letters\.ts -->\n```ts[^\n]*\n([\s\S]*?)```/g)].map((match) =>
    match[1].trim(),
  )
  expect(blocks.join('\n\n')).toBe(code.trim())
})
