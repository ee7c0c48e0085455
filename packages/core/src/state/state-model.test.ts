import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type CanonicalKey, keyGroupOf, ownerOfGroup } from '../batch/key.ts'
import { cases } from '../testing/cases.ts'
import { RawStore } from './raw-store.ts'
import { StateStore } from './store.ts'

type Op =
  | { readonly type: 'set'; readonly key: CanonicalKey; readonly sub: number | ''; readonly value: number }
  | { readonly type: 'delete'; readonly key: CanonicalKey; readonly sub: number | '' }
  | { readonly type: 'deleteKey'; readonly key: CanonicalKey }
  | { readonly type: 'dropSub'; readonly sub: number | ''; readonly worker: number }
  | { readonly type: 'add'; readonly key: CanonicalKey; readonly sub: number; readonly value: number }
  | { readonly type: 'dropSlice'; readonly sub: number; readonly worker: number }
  | { readonly type: 'commit' }
  | { readonly type: 'merge' }
  | { readonly type: 'restart'; readonly workers: number }

const key = fc.oneof(fc.integer({ min: 0, max: 6 }), fc.constantFrom('a', 'b', '', 1.5, true, 10n))
const sub = fc.oneof(fc.constant('' as const), fc.integer({ min: 0, max: 2 }))
const value = fc.integer({ min: 0, max: 99 })
const worker = fc.integer({ min: 0, max: 3 })
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant('set' as const), key, sub, value }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('delete' as const), key, sub }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('deleteKey' as const), key }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('dropSub' as const), sub, worker }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('add' as const), key, sub: fc.nat(2), value }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('dropSlice' as const), sub: fc.nat(2), worker }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('commit' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('merge' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('restart' as const), workers: fc.integer({ min: 1, max: 4 }) }),
  },
)

/** Three tables as maps of 'table|sub|type:key' -> number, and which worker each key has. */
class Model {
  entries = new Map<string, { readonly key: CanonicalKey; readonly value: number }>()

  set(table: string, key: CanonicalKey, at: number | '', value: number): void {
    this.entries.set(address(table, key, at), { key, value })
  }

  dropWhere(table: string, at: number | '', owns: (key: CanonicalKey) => boolean): void {
    for (const [name, entry] of this.entries) {
      if (name.startsWith(`${table}|${at}|`) && owns(entry.key)) this.entries.delete(name)
    }
  }

  list(): string[] {
    return [...this.entries].map(([name, { value }]) => `${name}=${value}`).sort()
  }
}

function address(table: string, key: CanonicalKey, at: CanonicalKey): string {
  return `${table}|${at}|${typeof key}:${key}`
}

function contents(stores: readonly StateStore[]): string[] {
  const found: string[] = []
  for (const store of stores) {
    const { byKey, bySub, numeric } = tablesOf(store)
    byKey.forEach((k, s, v) => void found.push(`byKey|${s}|${typeof k}:${k}=${v}`))
    bySub.forEach((k, s, v) => void found.push(`bySub|${s}|${typeof k}:${k}=${v}`))
    for (const s of numeric.subs()) {
      const slice = numeric.slice(s)
      for (let i = 0; i < slice.count; i++) {
        const k = slice.keyAt(i)
        found.push(`numeric|${s}|${typeof k}:${k}=${slice.columns[0][i]}`)
      }
    }
  }
  return found.sort()
}

function tablesOf(store: StateStore) {
  const access = store.forStep('step')
  return {
    byKey: access.table<number>('byKey'),
    bySub: access.table<number>('bySub', { major: 'sub' }),
    numeric: access.numericTable('numeric', [0]),
  }
}

test('any operations, cut into any deltas, merged and restored by any number of workers, equal the model', () => {
  fc.assert(
    fc.property(fc.array(op, { minLength: 1, maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (ops, first) => {
      const model = new Model()
      let committed: string[] = []
      let committedEntries = new Map(model.entries)
      let log: Uint8Array[] = []
      let workers = first
      const open = (): StateStore[] =>
        Array.from({ length: workers }, (_, index) => {
          const store = new StateStore({ worker: { index, count: workers } })
          for (const section of log) store.apply(section, (k) => ownerOfGroup(keyGroupOf(k), workers) === index)
          return store
        })
      let stores = open()
      const ownerOf = (k: CanonicalKey): number => ownerOfGroup(keyGroupOf(k), workers)
      const commit = (): void => {
        for (const store of stores) log.push(...store.delta())
        committed = model.list()
        committedEntries = new Map(model.entries)
      }
      for (const o of ops) {
        switch (o.type) {
          case 'set': {
            const { byKey, bySub } = tablesOf(stores[ownerOf(o.key)])
            byKey.set(o.key, o.value, o.sub)
            bySub.set(o.key, o.value, o.sub)
            model.set('byKey', o.key, o.sub, o.value)
            model.set('bySub', o.key, o.sub, o.value)
            break
          }
          case 'delete': {
            const { byKey, bySub } = tablesOf(stores[ownerOf(o.key)])
            expect(byKey.delete(o.key, o.sub)).toBe(model.entries.delete(address('byKey', o.key, o.sub)))
            bySub.delete(o.key, o.sub)
            model.entries.delete(address('bySub', o.key, o.sub))
            break
          }
          case 'deleteKey':
            tablesOf(stores[ownerOf(o.key)]).byKey.deleteGroup(o.key)
            for (const at of ['', 0, 1, 2] as const) model.entries.delete(address('byKey', o.key, at))
            break
          case 'dropSub': {
            const index = o.worker % workers
            tablesOf(stores[index]).bySub.deleteGroup(o.sub)
            model.dropWhere('bySub', o.sub, (k) => ownerOf(k) === index)
            break
          }
          case 'add': {
            const slice = tablesOf(stores[ownerOf(o.key)]).numeric.slice(o.sub)
            const slot = slice.slot(o.key)
            slice.columns[0][slot] += o.value
            const before = model.entries.get(address('numeric', o.key, o.sub))?.value ?? 0
            model.set('numeric', o.key, o.sub, before + o.value)
            break
          }
          case 'dropSlice': {
            const index = o.worker % workers
            tablesOf(stores[index]).numeric.drop(o.sub)
            model.dropWhere('numeric', o.sub, (k) => ownerOf(k) === index)
            break
          }
          case 'commit':
            commit()
            break
          case 'merge': {
            const raw = new RawStore()
            for (const section of log) raw.apply(section)
            log = [...raw.full()]
            break
          }
          case 'restart':
            // Uncommitted work is lost.
            workers = o.workers
            stores = open()
            model.entries = new Map(committedEntries)
            expect(contents(stores)).toEqual(committed)
        }
      }
      expect(contents(stores)).toEqual(model.list())
      commit()
      workers = 2
      expect(contents(open())).toEqual(committed)
    }),
    { numRuns: cases(150) },
  )
})
