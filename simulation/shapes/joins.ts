/** Two sources that meet: interval join and window join. */
import { tumbling } from 'millrace'
import { byKey, eventsOf } from '../data.ts'
import { flowOf, type Shape } from './shape.ts'

export const intervalJoin: Shape = {
  name: 'interval join',
  sources: ['a', 'b'],
  order: 'any',
  build: (_, settings) =>
    flowOf(['a', 'b'], settings, (a, b) =>
      a
        .keyBy((e) => e.key)
        .join(
          'pairs',
          b.keyBy((e) => e.key),
          { within: ['300ms', '200ms'], type: 'outer' },
        )
        .map((pair) => ({ key: pair.key, left: pair.left?.id ?? null, right: pair.right?.id ?? null })),
    ),
  expected: (input) => {
    const lefts = byKey(eventsOf(input, 'a'))
    const rights = byKey(eventsOf(input, 'b'))
    return [...new Set([...lefts.keys(), ...rights.keys()])].flatMap((key) => {
      const left = lefts.get(key) ?? []
      const right = rights.get(key) ?? []
      const isPair = (l: number, r: number): boolean => r >= l - 300 && r <= l + 200
      return [
        ...left.flatMap((l) =>
          right
            .filter((r) => isPair(l.at, r.at))
            .map((r) => ({ key, left: l.id as number | null, right: r.id as number | null })),
        ),
        ...left.filter((l) => !right.some((r) => isPair(l.at, r.at))).map((l) => ({ key, left: l.id, right: null })),
        ...right.filter((r) => !left.some((l) => isPair(l.at, r.at))).map((r) => ({ key, left: null, right: r.id })),
      ]
    })
  },
}

export const windowJoin: Shape = {
  name: 'window join',
  sources: ['a', 'b'],
  order: 'any',
  build: (_, settings) =>
    flowOf(['a', 'b'], settings, (a, b) =>
      a
        .keyBy((e) => e.key)
        .join(
          'pairs',
          b.keyBy((e) => e.key),
          { window: tumbling('1s') },
        )
        .map((pair) => ({ key: pair.key, left: pair.left.id, right: pair.right.id, start: pair.window.start })),
    ),
  expected: (input) => {
    const rights = byKey(eventsOf(input, 'b'))
    return eventsOf(input, 'a').flatMap((l) => {
      const start = Math.floor(l.at / 1_000) * 1_000
      return (rights.get(l.key) ?? [])
        .filter((r) => r.at >= start && r.at < start + 1_000)
        .map((r) => ({ key: l.key, left: l.id, right: r.id, start }))
    })
  },
}
