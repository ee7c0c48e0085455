import { describe, expect, test } from 'vitest'
import type { Position, Sink, Source, SourceReader } from '../connector.ts'
import { arraySink } from './array-sink.ts'
import { arraySource } from './array-source.ts'
import type { ContractCheck } from './contract.ts'
import { sinkContract } from './sink-contract.ts'
import { sourceContract } from './source-contract.ts'

const rows = { north: [1, 2, 3, 4, 5], south: [] }

describe('the array source keeps the contract of sources', () => {
  for (const check of sourceContract('array', { make: () => ({ source: arraySource<number>(rows), rows }) })) {
    test(check.name, check.run)
  }
})

describe('the array sink keeps the contract of sinks', () => {
  const make = () => {
    const target: { n: number }[] = []
    return { sink: arraySink(target), read: () => target }
  }
  for (const check of sinkContract('array', { make, rows: [1, 2, 3, 4].map((n) => ({ n })) }))
    test(check.name, check.run)
})

describe('sourceContract finds', () => {
  test('a position that is one row ahead', async () => {
    expect(await broken({ next: (n) => n + 1 })).toContain(
      'goes on exactly behind the position of every batch, cut anywhere',
    )
  })
  test('a reader that says it has caught up too early', async () => {
    expect(await broken({ caughtUp: true })).toEqual([
      'does not say it has caught up while rows are left, and gives rows readable positions',
    ])
  })
  test('a reader that gives more rows than were asked for', async () => {
    expect(await broken({ factor: 2 })).toContain('gives no more rows than were asked for')
  })
  test('a reader that goes on after its end', async () => {
    expect(await broken({ isRestless: true })).toContain("says 'end' for good, and only behind the last position")
  })
})

describe('sinkContract finds', () => {
  test('a committer that appends without looking at its state', async () => {
    const failed = await failures(sinkContract('log', { make: () => logSink('append'), rows: ['a', 'b', 'c', 'd'] }))
    expect(failed).toContain('publishing an epoch again, here and after a restart, changes nothing')
  })
  test('nothing in a committer that starts from its state', async () => {
    expect(await failures(sinkContract('log', { make: () => logSink('exact'), rows: ['a', 'b', 'c', 'd'] }))).toEqual(
      [],
    )
  })

  test('a sink that writes a row taken back like a new one, or not at all', async () => {
    const blind = 'a row that is taken back can be told from a new one'
    const like = (writes: (weight: number) => boolean) => () => {
      const target: string[] = []
      const sink: Sink<string> = {
        ...arraySink<string>([]),
        open: () => ({
          write(batch) {
            for (let i = 0; i < batch.length; i++) if (writes(batch.weights?.[i] ?? 1)) target.push(batch.row(i))
          },
          close() {},
        }),
      }
      return { sink, read: () => target }
    }
    const rows = ['a', 'b', 'c', 'd']
    expect(await failures(sinkContract('new', { make: like(() => true), rows }))).toEqual([blind])
    expect(await failures(sinkContract('none', { make: like((weight) => weight === 1), rows }))).toEqual([blind])
    const unsaid = () => ({ ...like(() => true)(), sink: { ...like(() => true)().sink, takesChanges: false } })
    const checks = sinkContract('unsaid', { make: unsaid, rows }).filter(({ name }) => name.endsWith(blind))
    expect(await failures(checks)).toEqual([])
  })
})

async function failures(checks: readonly ContractCheck[]): Promise<string[]> {
  const failed: string[] = []
  for (const check of checks) {
    await check.run().catch(() => failed.push(check.name.slice(check.name.indexOf(': ') + 2)))
  }
  return failed
}

interface Fault {
  readonly next?: (n: number) => number
  readonly caughtUp?: boolean
  readonly factor?: number
  readonly isRestless?: boolean
}

function broken(fault: Fault): Promise<string[]> {
  const data = [1, 2, 3, 4, 5]
  const open = (_partition: string, position: Position | undefined): SourceReader<number> => {
    let at = Math.min((position as number | undefined) ?? 0, data.length)
    let isEnded = false
    return {
      read(maxRows) {
        if (at === data.length) {
          if (!isEnded || fault.isRestless !== true) {
            isEnded = true
            return 'end'
          }
          at = 0
        }
        const start = at
        at = Math.min(data.length, at + maxRows * (fault.factor ?? 1))
        const next = at < data.length ? (fault.next?.(at) ?? at) : at
        return {
          rows: data.slice(start, at),
          next,
          caughtUp: fault.caughtUp ?? at === data.length,
          at: (i) => start + i,
        }
      },
      close() {},
    }
  }
  const source: Source<number> = {
    kind: 'broken',
    bounded: true,
    replayable: true,
    describe: () => ({}),
    partitions: () => ['p'],
    open,
  }
  return failures(sourceContract('broken', { make: () => ({ source, rows: { p: data } }) }))
}

/** A staged sink of one-letter texts that keeps its target in memory. */
function logSink(publish: 'append' | 'exact') {
  let target = ''
  const sink: Sink<string> = {
    kind: 'log',
    guarantee: 'staged',
    describe: () => ({}),
    open: () => ({
      write: (batch) => Buffer.from(Array.from({ length: batch.length }, (_, i) => batch.row(i)).join('')),
      close() {},
    }),
    committer: () => ({
      restore(state) {
        target = target.slice(0, (state as number | undefined) ?? 0)
      },
      after: (state, bytes) => ((state as number | undefined) ?? 0) + bytes,
      async publish(from, _to, staged) {
        if (publish === 'exact') target = target.slice(0, from as number)
        for await (const bytes of staged) target += Buffer.from(bytes).toString()
      },
      close() {},
    }),
  }
  return { sink, read: () => [...target] }
}
