import { describe, expect, test } from 'vitest'
import { keyGroupOf, ownerOfGroup } from '../batch/key.ts'
import { codec } from './codec.ts'
import { compareState } from './identity.ts'
import { RawStore } from './raw-store.ts'
import { type StateUnderTest, stateContract } from './state-contract.ts'
import { StateStore } from './store.ts'
import type { TableOptions } from './table.ts'

/** Saves by deltas that accumulate. */
function byDeltas(store = new StateStore(), log: Uint8Array[] = []): StateUnderTest {
  return {
    access: store.forStep('s'),
    reopen() {
      log.push(...store.delta())
      const next = new StateStore()
      for (const section of log) next.apply(section)
      return byDeltas(next, log)
    },
  }
}

/** Saves by merging every delta into one image. */
function byCompaction(store = new StateStore(), image: Uint8Array[] = []): StateUnderTest {
  return {
    access: store.forStep('s'),
    reopen() {
      const raw = new RawStore()
      for (const section of [...image, ...store.delta()]) raw.apply(section)
      const next = new StateStore()
      const merged = [...raw.full()]
      for (const section of merged) next.apply(section)
      return byCompaction(next, merged)
    },
  }
}

describe.each([
  ['deltas', () => byDeltas()],
  ['compaction', () => byCompaction()],
])('the state store, restored from %s', (_, open) => {
  for (const check of stateContract(open)) test(check.name, () => check.run())
})

function restored(saved: StateStore, options: ConstructorParameters<typeof StateStore>[0] = {}): StateStore {
  const store = new StateStore(options)
  for (const section of saved.full()) store.apply(section)
  return store
}

function storeWith(value: unknown, options: TableOptions<unknown> = {}, step = 's'): StateStore {
  const store = new StateStore()
  store.forStep(step).table('t', options).set('k', value)
  return store
}

describe('deltas', () => {
  test('nothing changed is nothing to write', () => {
    const store = storeWith(1)
    expect(store.delta()).toHaveLength(1)
    expect(store.delta()).toHaveLength(0)
  })

  test('an entry that came and went between two deltas leaves no trace', () => {
    const store = storeWith(1)
    store.delta()
    const table = store.forStep('s').table<number>('t')
    table.set('x', 1, 5)
    table.delete('x', 5)
    table.set('y', 1, 6)
    table.deleteGroup('y')
    expect(store.delta()).toHaveLength(0)
  })

  test('only the named steps are written', () => {
    const store = storeWith(1)
    store.forStep('other').table('t').set(1, 1)
    expect(store.delta(['other'])).toHaveLength(1)
    expect(store.delta(['other'])).toHaveLength(0)
    expect(store.delta()).toHaveLength(1)
  })

  test('a value changed in place is written when it is set again', () => {
    const list = [1]
    const store = storeWith(list)
    store.delta()
    list.push(2)
    store.forStep('s').table('t').set('k', list)
    const copy = new StateStore()
    for (const section of store.delta()) copy.apply(section)
    expect(copy.forStep('s').table('t').get('k')).toEqual([1, 2])
  })

  test('large state is cut into sections', () => {
    const store = new StateStore()
    const table = store.forStep('s').table<string>('t')
    const slice = store.forStep('s').numericTable('n', [0]).slice(0)
    for (let i = 0; i < 50_000; i++) {
      table.set(i, 'some text', i % 3)
      slice.slot(i)
    }
    const sections = store.delta()
    expect(sections.length).toBeGreaterThan(5)
    expect(Math.max(...sections.map((s) => s.length))).toBeLessThan(400_000)
    const copy = new StateStore()
    for (const section of sections) copy.apply(section)
    expect(copy.forStep('s').table('t').size).toBe(50_000)
    expect(copy.forStep('s').numericTable('n', [0]).size).toBe(50_000)
  })
})

test('a group dropped by one worker keeps the entries of another, whoever restores or merges (S2)', () => {
  const keys = Array.from({ length: 20 }, (_, i) => i)
  const workers = [0, 1].map((index) => new StateStore({ worker: { index, count: 2 } }))
  const ownerOf = (key: number): number => ownerOfGroup(keyGroupOf(key), 2)
  for (const key of keys) {
    const access = workers[ownerOf(key)].forStep('s')
    access.table('t', { major: 'sub' }).set(key, key, 1)
    access.numericTable('n', [0]).slice(1).slot(key)
  }
  const log = workers.flatMap((worker) => worker.delta())
  workers[0].forStep('s').table('t').deleteGroup(1)
  workers[0].forStep('s').numericTable('n', [0]).drop(1)
  log.push(...workers[0].delta())
  const raw = new RawStore()
  for (const section of log) raw.apply(section)
  const kept = keys.filter((key) => ownerOf(key) === 1)
  for (const sections of [log, [...raw.full()]]) {
    const copy = new StateStore()
    for (const section of sections) copy.apply(section)
    const table = copy.forStep('s').table('t', { major: 'sub' })
    expect([...(table.group(1)?.keys() ?? [])].sort()).toEqual([...kept].sort())
    const slice = copy.forStep('s').numericTable('n', [0]).slice(1)
    expect(keys.filter((key) => slice.find(key) >= 0)).toEqual(kept)
  }
})

describe('values that cannot be stored', () => {
  class Point {
    readonly x = 1
  }

  test('are refused at the first set, with step, table, key and path', () => {
    expect(() => storeWith({ list: [1, { at: new Point() }] })).toThrow(
      expect.objectContaining({
        code: 'STATE_VALUE',
        step: 's',
        data: { table: 't', key: 'k', sub: '', path: 'list[1].at' },
        message: expect.stringContaining('list[1].at is an instance of Point'),
      }),
    )
    expect(() => storeWith(() => 1)).toThrow('a function')
    expect(() => storeWith({ [Symbol('s')]: 1 })).toThrow('symbol')
  })

  test('are refused at the latest when they are written', () => {
    const store = new StateStore()
    const table = store.forStep('s').table<unknown>('t')
    for (let i = 0; i < 100; i++) table.set(i, i)
    table.set('late', new Point())
    expect(() => store.delta()).toThrow(expect.objectContaining({ code: 'STATE_VALUE' }))
  })

  test('are stored with a codec', () => {
    const point = codec({ name: 'point', version: 0, encode: (p: Point) => p.x, decode: () => new Point() })
    const copy = restored(storeWith(new Point(), { codec: point }))
    expect(copy.forStep('s').table('t', { codec: point }).get('k')).toBeInstanceOf(Point)
  })
})

describe('versions', () => {
  const v1 = codec<number>({ name: 'n', version: 1, encode: (n) => n, decode: (d) => d as number })
  const v2 = codec<number>({
    name: 'n',
    version: 2,
    encode: (n) => ({ n }),
    decode: (d) => (d as { n: number }).n,
    migrate: { from: (d, version) => (d as number) * 100 + version },
  })

  test('older state is migrated, and entries of both versions live in one table', () => {
    const old = restored(storeWith(5, { codec: v1 }))
    const table = old.forStep('s').table('t', { codec: v2 })
    expect(table.get('k')).toBe(501)
    table.set('new', 7)
    const raw = new RawStore()
    for (const section of [...storeWith(5, { codec: v1 }).full(), ...old.delta()]) raw.apply(section)
    const again = new StateStore()
    for (const section of raw.full()) again.apply(section)
    const both = again.forStep('s').table('t', { codec: v2 })
    expect([both.get('k'), both.get('new')]).toEqual([501, 7])
  })

  test('state of a newer version is refused', () => {
    const copy = restored(storeWith(5, { codec: v2 }))
    expect(() => copy.forStep('s').table('t', { codec: v1 })).toThrow(
      expect.objectContaining({ code: 'STATE_VERSION' }),
    )
  })

  test('an older version without migrate is refused', () => {
    const noMigrate = codec<number>({ name: 'n', version: 2, encode: (n) => n, decode: (d) => d as number })
    const copy = restored(storeWith(5, { codec: v1 }))
    expect(() => copy.forStep('s').table('t', { codec: noMigrate })).toThrow('migrate')
  })

  test('unreadable state is discarded where that is allowed', () => {
    const copy = restored(storeWith(5, { codec: v2 }), { allowDropped: ['s'] })
    expect(copy.forStep('s').table('t', { codec: v1 }).size).toBe(0)
  })

  test('a table of another kind or width is refused', () => {
    const numeric = new StateStore()
    numeric.forStep('s').numericTable('t', [0]).slice(0).slot(1)
    expect(() => restored(storeWith(1)).forStep('s').numericTable('t', [0])).toThrow(
      expect.objectContaining({ code: 'STATE_MISMATCH' }),
    )
    expect(() => restored(numeric).forStep('s').table('t')).toThrow(expect.objectContaining({ code: 'STATE_MISMATCH' }))
    expect(() => restored(numeric).forStep('s').numericTable('t', [0, 0])).toThrow(
      expect.objectContaining({ code: 'STATE_MISMATCH' }),
    )
    expect(() => numeric.forStep('s').table('t')).toThrow(expect.objectContaining({ code: 'STATE_TABLE' }))
  })
})

describe('a changed program', () => {
  test('finds state of a renamed step, declared before or after restoring', () => {
    const renames = new Map([['s', 'new']])
    expect(restored(storeWith(1), { renames }).forStep('new').table('t').get('k')).toBe(1)
    const declared = new StateStore({ renames })
    const table = declared.forStep('new').table('t')
    for (const section of storeWith(1).full()) declared.apply(section)
    expect(table.get('k')).toBe(1)
  })

  test('is told of restored tables that nobody declares', () => {
    const copy = restored(storeWith(1))
    copy.forStep('s')
    expect(copy.unclaimed()).toEqual([{ step: 's', table: 't' }])
  })

  test('is refused with a line per difference and the remedy', () => {
    const saved = [...storeWith(1).describe(), ...storeWith(1, {}, 'gone').describe()]
    const numeric = new StateStore()
    numeric.forStep('s').numericTable('t', [0])
    const current = [...numeric.describe(), ...storeWith(1, {}, 'fresh').describe()]
    const thrown = (): unknown => compareState(saved, current)
    expect(thrown).toThrow(expect.objectContaining({ code: 'STATE_MISMATCH' }))
    expect(thrown).toThrow(
      /changed {2}step "s"[\s\S]*dropped {2}step "gone"[\s\S]*added {4}step "fresh"[\s\S]*renamedFrom[\s\S]*--allow-dropped/,
    )
    const diff = compareState(saved, current, new Map(), ['s', 'gone'])
    expect(diff.dropped.map((d) => d.step)).toEqual(['s', 'gone'])
    expect(diff.added.map((d) => d.step)).toEqual(['s', 'fresh'])
  })

  test('may add steps, rename them and raise versions', () => {
    const saved = storeWith(1, {
      codec: codec({ name: 'c', version: 1, encode: (v) => v, decode: (v) => v }),
    }).describe()
    const current = [
      ...storeWith(
        1,
        { codec: codec({ name: 'c', version: 2, encode: (v) => v, decode: (v) => v }) },
        'new',
      ).describe(),
      ...storeWith(1, {}, 'added').describe(),
    ]
    const diff = compareState(saved, current, new Map([['s', 'new']]))
    expect(diff).toMatchObject({ added: [{ step: 'added' }], dropped: [], migrated: [{ saved: { step: 's' } }] })
    expect([...diff.renames]).toEqual([['s', 'new']])
    expect(() =>
      compareState(
        current,
        saved,
        new Map([
          ['new', 's'],
          ['added', 's'],
        ]),
      ),
    ).toThrow('version 2')
  })
})

describe('memory', () => {
  test('is estimated per step, and falls when entries go', () => {
    const store = new StateStore()
    const table = store.forStep('s').table<object>('t')
    for (let i = 0; i < 10_000; i++) table.set(i, { a: i, b: 'text' })
    const { entries, bytes } = store.stats('s')
    expect(entries).toBe(10_000)
    expect(bytes).toBeGreaterThan(1e6)
    expect(bytes).toBeLessThan(4e6)
    for (let i = 0; i < 10_000; i++) table.delete(i)
    store.delta()
    expect(store.bytes).toBe(0)
  })

  test('beyond the limit a write fails and names the largest steps', () => {
    const store = new StateStore({ limitBytes: 200_000 })
    store.forStep('small').table('t').set(1, 1)
    const table = store.forStep('big').table<string>('t')
    expect(() => {
      for (let i = 0; i < 1e6; i++) table.set(i, 'x'.repeat(100))
    }).toThrow(expect.objectContaining({ code: 'STATE_LIMIT', step: 'big' }))
    const slices = new StateStore({ limitBytes: 200_000 })
    const slice = slices.forStep('n').numericTable('t', [0]).slice(0)
    expect(() => {
      for (let i = 0; i < 1e6; i++) slice.slot(i)
    }).toThrow(expect.objectContaining({ code: 'STATE_LIMIT' }))
  })
})
