import { describe, expect, test } from 'vitest'
import { RowBatch } from '../batch/batch.ts'
import type { SourceContext } from '../connector.ts'
import { arraySink } from './array-sink.ts'
import { arraySource } from './array-source.ts'

const ctx = {} as SourceContext

describe('arraySource', () => {
  test('deals the rows over its partitions', async () => {
    const source = arraySource(['a', 'b', 'c'], { partitions: 2 })
    expect(await source.partitions(ctx)).toEqual(['0', '1'])
    const reader = await source.open('0', undefined, ctx)
    expect(await reader.read(10)).toMatchObject({ rows: ['a', 'c'], next: 2, caughtUp: true })
    expect(await reader.read(10)).toBe('end')
  })

  test('takes named partitions', async () => {
    const source = arraySource({ north: [1], south: [2, 3] })
    expect(await source.partitions(ctx)).toEqual(['north', 'south'])
    expect(await (await source.open('south', 1, ctx)).read(10)).toMatchObject({ rows: [3], next: 2 })
  })

  test('refuses a position outside the array and a number of partitions that is none', () => {
    expect(() => arraySource([1, 2]).open('0', 3, ctx)).toThrow('has 2 rows and cannot be opened at 3')
    expect(() => arraySource([1, 2], { partitions: 0 })).toThrow('must be a positive integer')
  })
})

test('arraySink pushes the rows it is given, in order', async () => {
  const rows: string[] = []
  const writer = await arraySink(rows).open({} as never)
  await writer.write(new RowBatch(['a', 'b'], [1, 2]))
  await writer.write(new RowBatch(['c'], [3]))
  expect(rows).toEqual(['a', 'b', 'c'])
})
