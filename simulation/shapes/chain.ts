/** Steps without state: map, filter, flatMap; and a union of two sources. */
import { eventsOf } from '../data.ts'
import { flowOf, type Shape } from './shape.ts'

export const chain: Shape = {
  name: 'chain',
  sources: ['a', 'b'],
  order: 'any',
  build: (_, settings) =>
    flowOf(['a', 'b'], settings, (a, b) =>
      a
        .map((e) => ({ ...e, n: e.n * 2 }))
        .union(b)
        .filter((e) => e.n >= 0)
        .flatMap((e) => (e.n % 4 === 0 ? [e, { ...e, n: e.n / 4 }] : [e]))
        .map((e) => ({ key: e.key, id: e.id, n: e.n })),
    ),
  expected: (input) =>
    [...eventsOf(input, 'a').map((e) => ({ ...e, n: e.n * 2 })), ...eventsOf(input, 'b')]
      .filter((e) => e.n >= 0)
      .flatMap((e) => (e.n % 4 === 0 ? [e, { ...e, n: e.n / 4 }] : [e]))
      .map((e) => ({ key: e.key, id: e.id, n: e.n })),
}

/** One source, no exchange: the order of a partition reaches the sink. */
export const ordered: Shape = {
  name: 'ordered',
  sources: ['a'],
  order: 'per key',
  build: (_, settings) => flowOf(['a'], settings, (a) => a.map((e) => ({ key: e.key, id: e.id, n: e.n + 1 }))),
  expected: (input) =>
    Object.values(input.a)
      .flat()
      .map((e) => ({ key: e.key, id: e.id, n: e.n + 1 })),
}
