/** Steps that treat the rows of each key, or of a whole stream, in their order: what they take and what is expected. */
import fc from 'fast-check'
import type { Stream } from 'millrace'
import { expectSameSequence, textOf } from './compare.ts'
import { type Placed, placedOf, playArbitrary, type Row } from './input.ts'
import { type Got, type Play, play, type World } from './play.ts'

export const keyed = playArbitrary({ isConfined: true })
export const whole = playArbitrary({ isConfined: true, partitionsMax: 1 })
/** A keyed stream, or a whole one of a single partition, whose order of arrival is known. */
export const either = fc.oneof(
  keyed.map((p) => ({ p, isKeyed: true })),
  whole.map((p) => ({ p, isKeyed: false })),
)

export const idOf = ({ id }: Row): unknown => id
export const rowsOf = (got: readonly Got[] = []): Row[] => got.map(({ row }) => row as Row)

/** The rows of each key, or all of them, in order of arrival. */
export function groupsOf({ input }: Play, isKeyed: boolean, source = 'a'): Placed[][] {
  const rows = placedOf(input, source)
  return isKeyed ? [...Map.groupBy(rows, ({ row }) => textOf(row.key)).values()] : [rows]
}

/** Runs one step on `a`, keyed or not, and compares each group's rows in their order. */
export async function expectGroups(
  { p, isKeyed }: { p: Play; isKeyed: boolean },
  step: (world: World, stream: Stream<Row>) => Stream<Row>,
  oracle: (rows: readonly Placed[]) => readonly Row[],
  order: 'arrival' | 'time',
  timeOf: (row: Row) => number,
): Promise<void> {
  const { out = [] } = await play(p, (world) => {
    const stream = isKeyed ? world.streams.a.keyBy((row) => row.key) : world.streams.a
    step(world, stream).sink('out', world.sink('out'))
  })
  const got = Map.groupBy(out, ({ row }) => (isKeyed ? textOf((row as Row).key) : ''))
  for (const rows of groupsOf(p, isKeyed)) {
    const mine = got.get(isKeyed && rows.length > 0 ? textOf(rows[0].row.key) : '') ?? []
    const expected = oracle(rows)
    const inOrder = order === 'arrival' ? expected : expected.toSorted((a, b) => a.at - b.at)
    expectSameSequence(
      mine,
      inOrder.map((row) => ({ row, time: timeOf(row), weight: 1 })),
    )
  }
}
