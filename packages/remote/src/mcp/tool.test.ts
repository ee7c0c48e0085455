import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineContract, streamOf } from '../index.ts'
import type { OfferedFunction } from '../protocol/messages.ts'
import { plainOf, toolsOf } from './tool.ts'

function offered(contract: ReturnType<typeof defineContract>): OfferedFunction[] {
  return [...contract.functions.values()].map(({ name, kind, inputJson, outputJson }) => ({
    name,
    kind,
    ...(inputJson === undefined ? {} : { input: inputJson }),
    ...(outputJson === undefined ? {} : { output: outputJson }),
  }))
}

const [add, named, none, readings, sum] = toolsOf(
  offered(
    defineContract({
      add: { input: [z.number(), z.number().optional()], output: z.number() },
      named: {
        input: [z.string().meta({ title: 'city' }), z.number().optional().meta({ title: 'days' })],
        output: z.object({ text: z.string() }),
      },
      none: { output: z.string() },
      readings: { input: z.object({ sensor: z.string() }), item: z.object({ value: z.number() }) },
      sum: { input: [streamOf(z.number())], output: z.number() },
    }),
  ),
)

test('one object is the arguments of the tool', () => {
  expect(readings.inputSchema).toMatchObject({ type: 'object', required: ['sensor'] })
  expect(readings.argumentsOf({ sensor: 'a' })).toEqual([{ sensor: 'a' }])
  // Its items have a schema; the list of them has none.
  expect(readings.outputSchema).toBeUndefined()
})

test('titled arguments go by their titles, and those that are left out at the end are left out', () => {
  expect(named.inputSchema).toMatchObject({ properties: { city: { type: 'string' } }, required: ['city'] })
  expect(named.argumentsOf({ days: 3, city: 'Bern' })).toEqual(['Bern', 3])
  expect(named.argumentsOf({ city: 'Bern' })).toEqual(['Bern'])
  expect(named.outputSchema).toMatchObject({ type: 'object', required: ['text'] })
})

test('other arguments go by position', () => {
  expect(add.inputSchema).toMatchObject({ properties: { args: { type: 'array', minItems: 1 } }, required: ['args'] })
  expect(add.argumentsOf({ args: [1, 2] })).toEqual([1, 2])
  expect(none.inputSchema).toEqual({ type: 'object', properties: {} })
  expect(none.argumentsOf({})).toEqual([])
})

test('a list stands for a stream', async () => {
  const [stream] = sum.argumentsOf({ args: [[1, 2, 3]] })
  const items: number[] = []
  for await (const item of stream as AsyncIterable<number>) items.push(item)
  expect(items).toEqual([1, 2, 3])
})

test('a function without a schema takes anything, and says so', () => {
  const [tool] = toolsOf([{ name: 'free', kind: 'call', description: 'Does things.' }])
  expect(tool.description).toBe('Does things. It says nothing of its arguments: give them by position, in `args`.')
  expect(tool.inputSchema).toMatchObject({ properties: { args: { type: 'array' } } })
  expect(tool.argumentsOf({ args: [1, 'b'] })).toEqual([1, 'b'])
  expect(tool.argumentsOf({})).toEqual([])
})

test('names are what every client takes, and differ', () => {
  const functions = ['sensor.read', 'sensor/read', 'sensor_read'].map((name) => ({ name, kind: 'call' as const }))
  expect(toolsOf(functions).map(({ name, fn }) => [name, fn])).toEqual([
    ['sensor_read', 'sensor.read'],
    ['sensor_read_2', 'sensor/read'],
    ['sensor_read_3', 'sensor_read'],
  ])
})

test('values that JSON has not are written as text, lists and base64', () => {
  const value = {
    at: new Date(0),
    n: 5n,
    bytes: new Uint8Array([1, 2]),
    set: new Set([1]),
    list: new Float32Array([1.5]),
  }
  expect(plainOf(value)).toEqual({
    at: '1970-01-01T00:00:00.000Z',
    n: '5',
    bytes: { base64: 'AQI=' },
    set: [1],
    list: [1.5],
  })
  expect(plainOf(undefined)).toBe(null)
})
