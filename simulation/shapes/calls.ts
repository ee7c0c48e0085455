/** Steps that call out, and steps that take each record once. */
import { eventsOf } from '../data.ts'
import { flowOf, type Shape } from './shape.ts'

export const dedupe: Shape = {
  name: 'dedupe',
  sources: ['a'],
  hasDuplicates: true,
  order: 'any',
  build: (_, settings) =>
    flowOf(['a'], settings, (a) =>
      a
        .keyBy((e) => e.key)
        .dedupe('once', { by: (e) => e.id, within: '1h' })
        .map((e) => ({ key: e.key, id: e.id, n: e.n })),
    ),
  expected: (input) => eventsOf(input, 'a').map((e) => ({ key: e.key, id: e.id, n: e.n })),
}

/** Calls take virtual time, some fail and are tried again. */
export const mapAsync: Shape = {
  name: 'mapAsync',
  sources: ['a'],
  order: 'per key',
  build: (world, settings) =>
    flowOf(['a'], settings, (a) =>
      a
        .keyBy((e) => e.key)
        .mapAsync(
          'call',
          async (e, ctx) => {
            await world.delay(world.random.next() * 40)
            if (ctx.attempt === 1 && world.random.chance(0.1)) throw new Error('the service is busy')
            return { key: e.key, id: e.id, doubled: e.n * 2 }
          },
          { order: 'perKey', capacity: 8, retry: { times: 3, delay: '5ms' } },
        ),
    ),
  expected: (input) =>
    Object.values(input.a)
      .flat()
      .map((e) => ({ key: e.key, id: e.id, doubled: e.n * 2 })),
}
