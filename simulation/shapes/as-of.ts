/** The latest row of another source at or before each row's time, within a tolerance. */
import { byKey, eventsOf } from '../data.ts'
import { flowOf, type Shape } from './shape.ts'

export const asOf: Shape = {
  name: 'as-of',
  sources: ['a', 'b'],
  order: 'per key',
  build: (_, settings) =>
    flowOf(['a', 'b'], settings, (a, b) =>
      a
        .keyBy((e) => e.key)
        .asOf('fuse', { latest: { stream: b.keyBy((e) => e.key), within: '500ms' } })
        .map((f) => ({ key: f.left.key, id: f.left.id, latest: f.latest?.id ?? null })),
    ),
  expected: (input) => {
    const others = byKey(eventsOf(input, 'b'))
    return eventsOf(input, 'a').map((e) => {
      const latest = (others.get(e.key) ?? []).filter((o) => o.at <= e.at && o.at >= e.at - 500).at(-1)
      return { key: e.key, id: e.id, latest: latest?.id ?? null }
    })
  },
}
