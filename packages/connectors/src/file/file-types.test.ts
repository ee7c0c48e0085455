import { dataflow } from 'millrace'
import type { Sink } from 'millrace/connector'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { csv, type FileConnector, jsonLines } from './index.ts'

interface Reading {
  readonly at: number
  readonly sensor: string
  readonly value: number
}

describe('types of file connectors', () => {
  test('a source has the type it was given, and a sink takes any rows without an annotation', () => {
    const flow = dataflow('types')
    const readings = flow.source('readings', jsonLines<Reading>({ path: 'in.jsonl' }), {
      time: (r) => r.at,
      disorder: '2s',
    })
    const seen = readings.map((r) => {
      expectTypeOf(r).toEqualTypeOf<Reading>()
      return { mean: r.value, window: { start: r.at } }
    })
    seen.sink('out', jsonLines({ path: 'out.jsonl' }))
    seen.sink('table', csv({ path: 'out.csv', columns: ['mean', 'window.start'] }))
    // @ts-expect-error a sink of other rows
    seen.sink('wrong', jsonLines<Reading>({ path: 'out.jsonl' }))
  })

  test('rows have the type of the schema', () => {
    const schema = z.object({ at: z.number(), unit: z.string().default('C') })
    expectTypeOf(jsonLines({ path: 'in.jsonl', schema })).toEqualTypeOf<FileConnector<{ at: number; unit: string }>>()
    expectTypeOf(csv({ path: 'in.csv', schema })).toEqualTypeOf<FileConnector<{ at: number; unit: string }>>()
  })

  test('columns with types make the type of the rows', () => {
    const source = csv({ path: 'in.csv', columns: { at: 'number', note: 'string?', on: (text) => new Date(text) } })
    expectTypeOf(source).toExtend<Sink<{ at: number; note: string | undefined; on: Date }>>()
    expectTypeOf(csv({ path: 'in.csv' })).toEqualTypeOf<FileConnector<Record<string, string>>>()
    // @ts-expect-error no such type
    expect(() => csv({ path: 'in.csv', columns: { at: 'float' } })).toThrow('has type "float"')
  })
})
