/** Hostile input through the whole engine: each bad record is a dead letter or a typed error, and nothing else is lost. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jsonLines } from '@millrace/connectors/file'
import { count, dataflow, dlq, type OnError, tumbling } from 'millrace'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'

const START = 1_700_000_000_000
const Reading = z.object({ id: z.number(), value: z.number(), at: z.number().optional() })
type Reading = z.infer<typeof Reading>

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-bad-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const good = (id: number): Buffer => Buffer.from(`${JSON.stringify({ id, value: id, at: START + id })}\n`)

/** Bad records between good ones, by the code each must get. */
const bad: readonly (readonly [string, Buffer])[] = [
  ['JSON_INVALID', Buffer.from('{"id": 1, "va\n')],
  ['SCHEMA_MISS', Buffer.from('{"id": "seven", "value": 1, "at": 1}\n')],
  ['RECORD_TOO_LARGE', Buffer.from(`{"id": 1, "value": 2, "text": "${'x'.repeat(200_000)}"}\n`)],
  [
    'UTF8_INVALID',
    Buffer.concat([Buffer.from('{"id": 1, "value": 1, "name": "'), Buffer.from([0xc3, 0x28]), Buffer.from('"}\n')]),
  ],
  ['TIME_INVALID', Buffer.from('{"id": 1, "value": 1}\n')],
  ['TIME_FUTURE', Buffer.from(`{"id": 1, "value": 1, "at": ${Date.parse('2999-01-01')}}\n`)],
  ['JSON_INVALID', Buffer.from('not json at all\n')],
]

function build(onError: OnError) {
  const path = join(folder, 'in.jsonl')
  const flow = dataflow('bad-input')
  const source = jsonLines<Reading>({ path, schema: Reading, maxLineBytes: 100_000 })
  const readings = flow.source('readings', source, { time: (r) => r.at as number, disorder: '0ms', onError })
  readings.sink('all', jsonLines({ path: join(folder, 'all.jsonl') }))
  readings
    .windowAll(tumbling('1s'))
    .aggregate('count', { n: count() })
    .sink('counts', jsonLines({ path: join(folder, 'counts.jsonl') }))
  return flow
}

function read<T>(file: string): T[] {
  return readFileSync(join(folder, file), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)
}

describe('bad input', () => {
  it.each([1, 7, 1024])(
    'becomes dead letters with code and line, in batches of %i, and every good record comes through',
    async (batchRows) => {
      const lines: Buffer[] = []
      const expected: { code: string; line: number }[] = []
      let id = 0
      for (const [code, line] of bad) {
        for (let i = 0; i < 5; i++) lines.push(good(id++))
        lines.push(line)
        expected.push({ code, line: lines.length })
      }
      // The last line is cut off.
      lines.push(good(id++), Buffer.from('{"id": 99, "value": 3, "at": 17000'))
      expected.push({ code: 'JSON_INVALID', line: lines.length })
      writeFileSync(join(folder, 'in.jsonl'), Buffer.concat(lines))

      const flow = build(dlq(jsonLines({ path: join(folder, 'dead.jsonl') })))
      await flow.run({ state: join(folder, 'state'), execution: 'inline', batchRows })

      expect(read<Reading>('all.jsonl').map((r) => r.id)).toEqual(Array.from({ length: id }, (_, i) => i))
      expect(read<{ n: number }>('counts.jsonl').reduce((sum, w) => sum + w.n, 0)).toBe(id)
      const dead = read<{ code: string; origin: string; step: string }>('dead.jsonl')
      const got = dead.map((d) => ({ code: d.code, line: Number(d.origin.split(':').at(-1)) }))
      expect(got.sort((a, b) => a.line - b.line)).toEqual(expected)
      for (const letter of dead) expect(letter.step).toBe('readings')
    },
  )

  it('is left out and counted under skip', async () => {
    writeFileSync(join(folder, 'in.jsonl'), Buffer.concat([good(0), bad[0][1], good(1), bad[4][1], good(2)]))
    const report = await build('skip').run({ state: join(folder, 'state'), execution: 'inline' })
    expect(read<Reading>('all.jsonl').map((r) => r.id)).toEqual([0, 1, 2])
    expect(report.steps.readings.droppedError).toBe(2)
  })

  it.each(bad)(
    'ends the flow with %s when the source may not fail, and what was before it is committed once',
    async (code, line) => {
      writeFileSync(join(folder, 'in.jsonl'), Buffer.concat([good(0), line, good(1)]))
      const run = build('fail').run({ state: join(folder, 'state'), execution: 'inline' })
      await expect(run).rejects.toMatchObject({ code, step: 'readings' })
      await expect(run).rejects.toThrow(/in\.jsonl:2/)
      // The record is mended, and the flow goes on from where it stood.
      writeFileSync(join(folder, 'in.jsonl'), Buffer.concat([good(0), good(5), good(1)]))
      await build('fail').run({ state: join(folder, 'state'), execution: 'inline' })
      expect(read<Reading>('all.jsonl').map((r) => r.id)).toEqual([0, 5, 1])
    },
  )
})
