import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { csv, jsonLines } from '@millrace/connectors/file'
import { dataflow } from 'millrace'
import type { Sink, SinkCommitter } from 'millrace/connector'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-restart-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const at = (name: string): string => join(folder, name)
const text = (name: string): string => readFileSync(at(name), 'utf8')

/** The sink, but its committer dies after, or in the middle of, a publish. */
function dying<T>(sink: Sink<T>, when: 'after' | 'within'): Sink<T> {
  return {
    ...sink,
    async committer(ctx) {
      const committer = (await sink.committer?.(ctx)) as SinkCommitter
      async function* half(staged: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
        for await (const bytes of staged) {
          yield bytes.subarray(0, bytes.length >> 1)
          throw new Error('died on purpose')
        }
      }
      return {
        restore: (state) => committer.restore(state),
        after: (state, bytes) => committer.after(state, bytes),
        async publish(from, to, staged) {
          await committer.publish(from, to, when === 'within' ? half(staged) : staged)
          throw new Error('died on purpose')
        },
        close: () => committer.close(),
      }
    },
  }
}

function run(sink: Sink<{ n: number }>) {
  const flow = dataflow('restart')
  flow
    .source('in', jsonLines<{ n: number }>({ path: at('in.jsonl') }), { time: 'processing', onError: 'skip' })
    .sink('out', sink)
  return flow.run({ state: at('state') })
}

describe('a flow from file to file', () => {
  test.each(['after', 'within'] as const)(
    'that dies %s its first publish goes on as if nothing had happened',
    async (when) => {
      writeFileSync(at('in.jsonl'), '{"n":1}\n{"n":\n{"n":2}\n')
      const sink = () => csv<{ n: number }>({ path: at('out/numbers.csv'), columns: ['n'] })
      await expect(run(dying(sink(), when))).rejects.toThrow('died on purpose')
      await run(sink())
      expect(text('out/numbers.csv')).toBe('n\n1\n2\n')
      await run(sink())
      expect(text('out/numbers.csv')).toBe('n\n1\n2\n')
    },
  )

  test('does not mix old and new results when its state was deleted', async () => {
    writeFileSync(at('in.jsonl'), '{"n":1}\n')
    const sink = () => jsonLines<{ n: number }>({ path: at('out.jsonl') })
    await run(sink())
    rmSync(at('state'), { recursive: true })
    await expect(run(sink())).rejects.toMatchObject({ code: 'FILE_EXISTS', step: 'out' })
    expect(text('out.jsonl')).toBe('{"n":1}\n')
  })
})
