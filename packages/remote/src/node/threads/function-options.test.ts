/** What is read from a module that `millrace node` serves. */
import { expect, test } from 'vitest'
import { z } from 'zod'
import { defineContract } from '../../contract/contract.ts'
import { cpu, fn, functionsOf } from './function-options.ts'

test('functions, their kinds and options; generators that are not async are for threads unless they say otherwise', () => {
  const functions = functionsOf(
    {
      default: {
        plain: (a: number) => a,
        marked: cpu(() => 1),
        policy: fn({ policy: 'hash', description: 'by key' }, async () => 1),
        *items() {},
        *kept() {},
        async *events() {},
        version: 3,
      },
      options: { kept: { thread: false }, policy: { policy: 'random', concurrency: 2 } },
    },
    'f.ts',
  )
  expect(functions.map(({ name, isThreaded, options }) => [name, isThreaded, options])).toEqual([
    ['plain', false, { kind: 'call' }],
    ['marked', true, { kind: 'call' }],
    ['policy', false, { kind: 'call', policy: 'random', description: 'by key', concurrency: 2 }],
    ['items', true, { kind: 'stream' }],
    ['kept', false, { kind: 'stream' }],
    ['events', false, { kind: 'stream' }],
  ])
})

test('a method finds its object, and keeps its number of parameters', () => {
  const object = {
    base: 10,
    add(n: number, _context: unknown) {
      return this.base + n
    },
  }
  const [add] = functionsOf({ default: object }, 'f.ts')
  expect(add.fn(1, undefined)).toBe(11)
  expect(add.fn.length).toBe(2)
})

test('a contract beside the functions holds their arguments and results, and names what is missing', () => {
  const contract = defineContract({ add: { input: [z.number(), z.number()], output: z.number() } })
  const [add] = functionsOf({ default: { add: (a: number, b: number) => a + b }, contract }, 'f.ts')
  expect(add.options).toMatchObject({ kind: 'call', input: expect.anything(), output: expect.anything() })
  expect(() => functionsOf({ default: { sub: () => 1 }, contract }, 'f.ts')).toThrow(
    'the default export of f.ts has no function "add", which "contract" names.',
  )
})
