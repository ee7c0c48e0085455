import { describe, expect, expectTypeOf, test } from 'vitest'
import { edge, Graph } from '../graph/node.ts'
import { openOperator } from '../testing/operator-host.ts'
import { at, end } from '../testing/timeline.ts'
import { verifyOperator } from '../testing/verify-operator.ts'
import { type BranchRows, branch, createBranch } from './branch.ts'

describe('branch', () => {
  test('gives each record to the first output whose test it passes', async () => {
    await verifyOperator(createBranch<number>({ small: (n) => n < 10, even: (n) => n % 2 === 0, rest: true }))
      .given(at(1, 4, 'a'), at(2, 20, 'b'), at(3, 21, 'a'), end())
      .expect({ small: [[1, 4, 'a']], even: [[2, 20, 'b']], rest: [[3, 21, 'a']], out: [] })
  })

  test('counts what passes no test as filtered', () => {
    const host = openOperator(createBranch<number>({ small: (n) => n < 10 }))
    host.send([
      [1, 4],
      [2, 20],
    ])
    expect([host.take('small').length, host.metrics.filtered]).toEqual([1, 1])
  })

  test('gives a record whose test fails, or returns no boolean, to the error policy', () => {
    const tests = { hot: ((row: { t: number }) => row.t && 1) as never }
    const host = openOperator(createBranch<{ t: number }>(tests), { onError: 'skip' })
    host.send([
      [1, { t: 1 }],
      [2, null],
    ])
    expect(host.errors.map((e) => [(e.error as Error).message, e.row])).toEqual([
      ['the test of branch "hot" returned 1; it must return a boolean.', { t: 1 }],
      [expect.stringMatching(/null/), null],
    ])
  })

  test('refuses no tests, names it cannot use, and what is not a function', () => {
    const graph = new Graph('test')
    const input = edge(graph.add({ kind: 'union', inputs: [], spec: { type: 'union' } }))
    const make = (tests: object) => () => branch(graph, { input, tests: tests as never })
    expect(make({})).toThrow(/no tests/)
    expect(make({ out: () => true })).toThrow(/"out" cannot name a branch/)
    expect(make({ hot: true })).toThrow(/must be a function, or rest: true/)
    expect(make({ hot: () => true })().spec).toMatchObject({ outputs: ['hot'] })
  })

  test('narrows the rows of a type guard', () => {
    const tests = {
      text: (row: string | number): row is string => typeof row === 'string',
      big: () => true,
      rest: true,
    }
    expectTypeOf<BranchRows<string | number, typeof tests>>().toEqualTypeOf<{
      readonly text: string
      readonly big: string | number
      readonly rest: string | number
    }>()
  })
})
