import { describe, expect, test } from 'vitest'
import { openOperator } from '../testing/operator-host.ts'
import { createProcess } from './process.ts'
import type { ProcessSetup } from './process-types.ts'

/** Rows are functions' arguments: each record runs `onRow` with the states and emits what it returns. */
function stateHost<R>(
  declare: (setup: ProcessSetup) => (row: R) => unknown,
  options: { now?: number; timed?: boolean } = {},
) {
  return openOperator(
    createProcess<R, unknown>(
      (setup) => {
        const onRow = declare(setup)
        return { onRecord: (row, ctx) => ctx.emit(onRow(row) ?? null) }
      },
      { isKeyed: true, timed: options.timed ?? false },
    ),
    { now: options.now ?? 0 },
  )
}

const rows = (host: ReturnType<typeof openOperator>) => host.take().map((out) => out.row)

describe('ValueState', () => {
  test('has a default of its own for each key', () => {
    const host = stateHost<string>((setup) => {
      const words = setup.value<string[]>('words', { default: [] })
      return (word) => words.update((before) => [...before, word])
    })
    host.send([
      [1, 'x', 'a'],
      [2, 'y', 'b'],
      [3, 'z', 'a'],
    ])
    expect(rows(host)).toEqual([['x'], ['y'], ['x', 'z']])
  })

  test('keeps null and false, and forgets undefined', () => {
    const host = stateHost<unknown>((setup) => {
      const state = setup.value<unknown>('state', { default: 'default' })
      return (value) => {
        if (value === 'unset') state.set(undefined)
        else if (value !== 'read') state.set(value)
        return [state.has(), state.get()]
      }
    })
    host.send([null, false, 'read', 'unset'].map((value, i) => [i, value, 'a'] as const))
    expect(rows(host)).toEqual([
      [true, null],
      [true, false],
      [true, false],
      [false, 'default'],
    ])
  })

  test('survives a restart, and an older version is migrated', () => {
    const host = stateHost<number>((setup) => {
      const n = setup.value('n', { default: 0, version: 1, migrate: () => 0 })
      return (add) => n.update((value) => value + add)
    })
    host.send([[1, 5, 'a']])
    rows(host)
    const restored = host.restore(host.snapshot())
    restored.send([[2, 1, 'a']])
    expect(rows(restored)).toEqual([6])
  })

  test('version without migrate is refused', () => {
    const declare = (setup: ProcessSetup) => {
      setup.value('n', { version: 2 })
      return () => 0
    }
    expect(() => stateHost(declare)).toThrow(/only one of version and migrate/)
  })
})

describe('ListState', () => {
  const listHost = () =>
    stateHost<string>((setup) => {
      const list = setup.list<string>('list')
      return (word) => {
        if (word === 'drop') list.dropFirst(2)
        else if (word === 'clear') list.clear()
        else list.append(word)
        return list.get()
      }
    })

  test('keeps the order of appending, also over a restart', () => {
    let host = listHost()
    for (let i = 0; i < 12; i++) {
      host.send([[i, String(i), 'a']])
      host = host.restore(host.snapshot())
    }
    host.send([[12, 'x', 'a']])
    expect(rows(host).at(-1)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', 'x'])
  })

  test('drops its oldest items, or all', () => {
    const host = listHost()
    host.send(['a', 'b', 'c', 'drop', 'd', 'clear', 'e'].map((word, i) => [i, word, 'k'] as const))
    expect(rows(host)).toEqual([['a'], ['a', 'b'], ['a', 'b', 'c'], ['c'], ['c', 'd'], [], ['e']])
  })
})

test('MapState holds entries per key, under keys of any kind', () => {
  const host = stateHost<readonly [string | readonly [string, number], number]>((setup) => {
    const map = setup.map<string | readonly [string, number], number>('map')
    return ([name, value]) => {
      if (value === 0) map.delete(name)
      else map.set(name, (map.get(name) ?? 0) + value)
      return map.entries()
    }
  })
  host.send([
    [1, ['x', 1], 'a'],
    [2, [['t', 1], 2], 'a'],
    [3, ['x', 5], 'b'],
    [4, [['t', 1], 3], 'a'],
    [5, ['x', 0], 'a'],
  ])
  expect(rows(host)).toEqual([
    [['x', 1]],
    [
      ['x', 1],
      [['t', 1], 2],
    ],
    [['x', 5]],
    [
      ['x', 1],
      [['t', 1], 5],
    ],
    [[['t', 1], 5]],
  ])
})

describe('ttl', () => {
  test('counts in event time from the last write, whether or not the step has cleaned up', () => {
    const host = stateHost<number>((setup) => {
      const last = setup.value<number>('last', { ttl: '10s' })
      return (n) => {
        const before = last.get() ?? null
        if (n > 0) last.set(n)
        return before
      }
    })
    host.send([
      [0, 1, 'a'],
      [9_999, 0, 'a'],
      [10_000, 0, 'a'],
      [5_000, 2, 'a'],
      [14_999, 0, 'a'],
      [15_000, 0, 'a'],
    ])
    expect(rows(host)).toEqual([null, 1, null, 1, 2, null])
  })

  test('drops what the watermark has passed, in lists and maps entry by entry', () => {
    const host = stateHost<string>((setup) => {
      const list = setup.list<string>('list', { ttl: '8ms' })
      const map = setup.map<string, number>('map', { ttl: '8ms' })
      return (word) => {
        list.append(word)
        map.set(word, 1)
        return [list.get().join(''), map.keys().join('')]
      }
    })
    host.send([
      [0, 'x', 'a'],
      [4, 'y', 'a'],
    ])
    host.watermark(9)
    host.send([[11, 'z', 'a']])
    host.watermark(100)
    host.send([[100, 'w', 'a']])
    expect(rows(host)).toEqual([
      ['x', 'x'],
      ['xy', 'xy'],
      ['yz', 'yz'],
      ['w', 'w'],
    ])
  })

  test('counts in processing time where that is said', () => {
    const host = stateHost<number>(
      (setup) => {
        const token = setup.value<number>('token', { ttl: { after: '1s', time: 'processing' } })
        return (n) => {
          if (n > 0) token.set(n)
          return token.get() ?? null
        }
      },
      { timed: true },
    )
    host.send([[0, 1, 'a']])
    host.advance(999)
    host.send([[0, 0, 'a']])
    host.advance(1)
    host.send([[0, 0, 'a']])
    expect(rows(host)).toEqual([1, 1, null])
  })
})
