import { Writable } from 'node:stream'
import { RowBatch } from 'millrace/connector'
import { sinkContract } from 'millrace/testing'
import { describe, expect, test } from 'vitest'
import { stdout } from './index.ts'

function collector() {
  const chunks: Buffer[] = []
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk)
      setImmediate(done)
    },
  })
  return { stream, text: () => Buffer.concat(chunks).toString() }
}

function linesOf(text: string): unknown[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
}

describe('stdout keeps the contract of sinks', () => {
  const make = () => {
    const { stream, text } = collector()
    return { sink: stdout<{ n: number }>({ stream }), read: () => linesOf(text()) }
  }
  for (const check of sinkContract('stdout', { make, rows: [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }] }))
    test(check.name, check.run)
})

describe('stdout', () => {
  test('prints JSON, or what the format says', async () => {
    const { stream, text } = collector()
    const batch = new RowBatch([{ a: 1n }], [0])
    await (await stdout<{ a: bigint }>({ stream }).open({} as never)).write(batch)
    await (await stdout<{ a: bigint }>({ stream, format: (row) => `a is ${row.a}` }).open({} as never)).write(batch)
    expect(text()).toBe('{"a":"1"}\na is 1\n')
  })

  test('whose reader has gone away stops the flow with an error', async () => {
    const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) })
    const writer = await stdout<number>({ stream }).open({} as never)
    await expect(writer.write(new RowBatch([1], [0]))).rejects.toMatchObject({ code: 'STDOUT_CLOSED' })
    await expect(writer.write(new RowBatch([2], [0]))).rejects.toMatchObject({ code: 'STDOUT_CLOSED' })
    await writer.close()
  })
})
