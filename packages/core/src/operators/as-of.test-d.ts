/** The fusion program of DESIGN section 3 compiles without an annotation, given a class shaped like KeyedStream. */
import { expectTypeOf, test } from 'vitest'
import type { GraphNode } from '../graph/node.ts'
import type { AsOfJoinOptions, AsOfSides, FusedRow, SideNames } from './as-of-types.ts'
import type { KeyedLike } from './stream-like.ts'

declare class Keyed<T, K> implements KeyedLike<T, K> {
  readonly node: GraphNode
  declare readonly _row?: T
  declare readonly _key?: K
  asOf<const S extends AsOfSides<K>>(
    name: string,
    sides: S & SideNames,
    options?: AsOfJoinOptions,
  ): { map<U>(fn: (row: FusedRow<K, T, S>) => U): U }
}
interface Imu {
  yaw: number
}
interface Gps {
  lat: number
}
interface Lidar {
  frame: Uint8Array
}
declare const imu: Keyed<Imu, string>
declare const gps: Keyed<Gps, string>
declare const lidar: Keyed<Lidar, string>
declare const byNumber: Keyed<Gps, number>

test('the fused row is inferred', () => {
  imu
    .asOf('fuse', {
      gps: { stream: gps, within: '500ms', required: true },
      lidar: { stream: lidar, within: '200ms' },
    })
    .map((f) => {
      expectTypeOf(f.key).toEqualTypeOf<string>()
      expectTypeOf(f.gps).toEqualTypeOf<Gps>()
      expectTypeOf(f.lidar).toEqualTypeOf<Lidar | undefined>()
      return { yaw: f.left.yaw, lat: f.gps.lat, frame: f.lidar?.frame }
    })
})

test('a default is never undefined; its type joins where it differs', () => {
  imu
    .asOf('fuse', {
      a: { stream: gps, within: '1s', fill: { default: { lat: 0 } } },
      b: { stream: gps, within: '1s', fill: { default: null } },
      c: { stream: gps, within: '1s', fill: 'last' },
    })
    .map((f) => {
      expectTypeOf(f.a).toEqualTypeOf<Gps>()
      expectTypeOf(f.b).toEqualTypeOf<Gps | null>()
      expectTypeOf(f.c).toEqualTypeOf<Gps | undefined>()
      return f
    })
})

test('what must not compile', () => {
  // @ts-expect-error gps may be missing
  imu.asOf('fuse', { gps: { stream: gps, within: '1s' } }).map((f) => f.gps.lat)
  // @ts-expect-error the result has a field "left" already
  imu.asOf('fuse', { left: { stream: gps, within: '1s' } })
  // @ts-expect-error keyed by a number, not by a string
  imu.asOf('fuse', { gps: { stream: byNumber, within: '1s' } })
  // @ts-expect-error not a duration
  imu.asOf('fuse', { gps: { stream: gps, within: '500' } })
  // @ts-expect-error no such fill
  imu.asOf('fuse', { gps: { stream: gps, within: '1s', fill: 'next' } })
})
