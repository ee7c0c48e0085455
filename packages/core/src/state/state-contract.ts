/**
 * What every StateAccess promises, as named checks: run them against a store with
 * `for (const check of stateContract(open)) test(check.name, check.run)`.
 */
import assert from 'node:assert/strict'
import type { StateAccess } from './table.ts'

export interface ContractCheck {
  readonly name: string
  run(): void
}

export interface StateUnderTest {
  readonly access: StateAccess
  /** Saves, and gives the access of a restored copy. */
  reopen(): StateUnderTest
}

export function stateContract(open: () => StateUnderTest): readonly ContractCheck[] {
  const check = (name: string, run: (state: StateUnderTest) => void): ContractCheck => ({
    name,
    run: () => run(open()),
  })
  const both = ['key', 'sub'] as const
  return [
    check('an entry is found under its key and sub, and under no other', ({ access }) => {
      for (const major of both) {
        const table = access.table<string>(major, { major })
        table.set('a', 'plain')
        table.set('a', 'one', 1)
        table.set('b', 'b one', 1)
        assert.deepEqual([table.get('a'), table.get('a', 1), table.get('b', 1)], ['plain', 'one', 'b one'])
        assert.deepEqual([table.has('b'), table.has('a', 2), table.has('c', 1), table.size], [false, false, false, 3])
        assert.deepEqual([table.delete('a'), table.delete('a'), table.get('a', 1), table.size], [true, false, 'one', 2])
      }
    }),
    check('keys of different types are different keys', ({ access }) => {
      const table = access.table<string>('t')
      for (const key of [1, '1', true, 'true', 1n, '']) table.set(key, `${typeof key} ${key}`)
      assert.equal(table.size, 6)
      assert.deepEqual([table.get(1), table.get('1'), table.get(1n)], ['number 1', 'string 1', 'bigint 1'])
    }),
    check('undefined and null are values', (state) => {
      state.access.table<unknown>('t').set('u', undefined)
      state.access.table<unknown>('t').set('n', null, 1)
      const table = state.reopen().access.table<unknown>('t')
      assert.deepEqual([table.has('u'), table.get('u'), table.get('n', 1), table.size], [true, undefined, null, 2])
    }),
    check('a group holds the entries of one outer address and is deleted whole', (state) => {
      const byKey = state.access.table<number>('byKey')
      const bySub = state.access.table<number>('bySub', { major: 'sub' })
      for (const table of [byKey, bySub]) {
        table.set('a', 1, 10)
        table.set('a', 2, 20)
        table.set('b', 3, 10)
      }
      assert.deepEqual(
        [...(byKey.group('a') ?? [])],
        [
          [10, 1],
          [20, 2],
        ],
      )
      assert.deepEqual(
        [...(bySub.group(10) ?? [])],
        [
          ['a', 1],
          ['b', 3],
        ],
      )
      assert.equal(byKey.group('c'), undefined)
      const seen: unknown[] = []
      for (const outer of ['a', 'b', 'c']) byKey.forEachOf(outer, (inner, value) => seen.push([outer, inner, value]))
      assert.deepEqual(seen, [
        ['a', 10, 1],
        ['a', 20, 2],
        ['b', 10, 3],
      ])
      byKey.deleteGroup('a')
      bySub.deleteGroup(10)
      const again = state.reopen().access
      assert.deepEqual([...again.table('byKey').outers()], ['b'])
      assert.deepEqual([...again.table('bySub', { major: 'sub' }).outers()], [20])
    }),
    check('forEach visits key, sub and value of each entry once', ({ access }) => {
      for (const major of both) {
        const table = access.table<number>(major, { major })
        table.set('a', 1)
        table.set('a', 2, 5)
        table.set('b', 3, 5)
        const seen: unknown[] = []
        table.forEach((key, sub, value) => void seen.push([key, sub, value].join()))
        assert.deepEqual(seen.sort(), ['a,,1', 'a,5,2', 'b,5,3'])
      }
    }),
    check('the same name gives the same table', ({ access }) => {
      assert.equal(access.table('t'), access.table('t'))
      assert.equal(access.numericTable('n', [0]), access.numericTable('n', [0]))
    }),
    check('entries expire a ttl after their last write, and stay gone', (state) => {
      const options = { ttlMs: 800 }
      const table = state.access.table<string>('t', options)
      table.set('old', 'x', 1, 1000)
      table.set('kept', 'y', 1, 1000)
      table.set('kept', 'z', 1, 2000)
      assert.equal(table.expire(1799), 0)
      const reopened = state.reopen()
      const later = reopened.access.table<string>('t', options)
      const visited: unknown[] = []
      assert.equal(
        later.expire(1900, (key, sub, value) => visited.push([key, sub, value])),
        1,
      )
      assert.deepEqual(visited, [['old', 1, 'x']])
      const last = reopened.reopen().access.table<string>('t', options)
      assert.deepEqual([last.has('old', 1), last.get('kept', 1), last.expire(2900), last.size], [false, 'z', 1, 0])
    }),
    check('numeric slots start at the initial values, keep their numbers, and survive', (state) => {
      const keys = [0, -5, 1.5, 'text', 7n, true, 2 ** 40, Number.POSITIVE_INFINITY]
      const slice = state.access.numericTable('n', [0, 9]).slice(100)
      const slots = keys.map((key) => slice.slot(key))
      for (let i = 0; i < 500; i++) slice.slot(1000 + i)
      assert.deepEqual(
        keys.map((key) => slice.find(key)),
        slots,
      )
      assert.deepEqual(
        slots.map((slot) => slice.keyAt(slot)),
        keys,
      )
      assert.deepEqual([slice.columns[0][slots[3]], slice.columns[1][slots[3]], slice.find('none')], [0, 9, -1])
      slice.columns[0][slots[3]] = 42.5
      const table = state.reopen().access.numericTable('n', [0, 9])
      const copy = table.peek(100)
      assert.ok(copy !== undefined)
      assert.deepEqual([table.size, copy.count, copy.columns[0][copy.find('text')]], [508, 508, 42.5])
    }),
    check('a dropped slice is gone, also after it was saved', (state) => {
      state.access.numericTable('n', [0]).slice(1).slot('a')
      state.access.numericTable('n', [0]).slice(2).slot('a')
      const reopened = state.reopen()
      reopened.access.numericTable('n', [0]).drop(1)
      const table = reopened.reopen().access.numericTable('n', [0])
      assert.deepEqual([[...table.subs()], table.peek(1), table.size], [[2], undefined, 1])
    }),
  ]
}
