/**
 * Generated input: rows in partitions, out of order within the bound that the source promises, with skewed keys of every
 * kind, negative and fractional times, exact duplicates, and partitions without rows.
 *
 * No row is late for a correct engine: a partition's rows lie at most `disorderMs` behind its newest one. Numbers are
 * multiples of 2^-20, so that oracles can compute exactly.
 */
import fc from 'fast-check'
import type { Key } from 'millrace'
import type { Life, Play } from './play.ts'

export interface Row {
  /** Differs between rows that are not duplicates of each other. */
  readonly id: number
  readonly key: Key
  readonly at: number
  readonly n: number
}

/** A row and where it stands. */
export interface Placed {
  readonly row: Row
  readonly source: string
  readonly partition: string
  readonly offset: number
}

export interface SourceInput {
  readonly disorderMs: number
  readonly idleAfterMs?: number
  readonly partitions: Readonly<Record<string, readonly Placed[]>>
}

export type Input = Readonly<Record<string, SourceInput>>

/** Keys of every kind; neighbours that are easily taken for each other. */
const keyPool: readonly Key[] = [
  'a', 1, '1', true,
  ['a', 1], 1n, ['a', '1'], '',
  -1.5, '\u0000a', [1n, false], 'true',
  2 ** 40, 'ключ', false, -7,
] // biome-ignore format: four keys per partition

export interface InputSettings {
  readonly sources?: readonly string[]
  /** True: all rows of a key are in one partition of each source, so their order of arrival is known. */
  readonly isConfined: boolean
  readonly partitionsMax?: number
  readonly rowsMax?: number
  /** Default 0, 5 and 40. */
  readonly disorders?: readonly number[]
  /** Whole numbers for `n`. */
  readonly isWhole?: boolean
  readonly hasCrashes?: boolean
  /** False: no partition is taken for idle. What a step holds of an idle source may be late for the step after it. */
  readonly hasIdle?: boolean
}

interface Draw {
  readonly step: number
  readonly back: number
  readonly key: number
  readonly n: number
  /** How many rows later an exact duplicate comes; 0 for none. */
  readonly again: number
}

const drawArbitrary = (isWhole: boolean): fc.Arbitrary<Draw> =>
  fc.record({
    step: fc.oneof(fc.integer({ min: 0, max: 12 }), fc.constantFrom(0, 0.25, 0.5, 10, 20, 45, 130)),
    back: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40 }), fc.constantFrom(0.5, 2.75)),
    key: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.nat(3) }),
    n: isWhole
      ? fc.integer({ min: -20, max: 20 })
      : fc.oneof(fc.integer({ min: -20, max: 20 }), fc.constantFrom(0.5, -0.125, 1e9, 2 ** -20, -0)),
    again: fc.oneof({ weight: 8, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.integer({ min: 1, max: 4 }) }),
  })

/** An input with a sequence of lives to run it in. */
export function playArbitrary(settings: InputSettings): fc.Arbitrary<Play> {
  return fc.record({ input: inputArbitrary(settings), lives: livesArbitrary(settings.hasCrashes ?? true) })
}

export function inputArbitrary(settings: InputSettings): fc.Arbitrary<Input> {
  const {
    sources = ['a'],
    partitionsMax = 4,
    rowsMax = 40,
    isWhole = false,
    hasIdle = true,
    disorders = [0, 5, 40],
    isConfined,
  } = settings
  const partition = fc.array(drawArbitrary(isWhole), { maxLength: rowsMax })
  const source = fc.record({
    disorderMs: fc.constantFrom(...disorders),
    idleAfterMs: hasIdle ? fc.constantFrom(undefined, 3) : fc.constant(undefined),
    partitions: fc.array(partition, { minLength: 1, maxLength: partitionsMax }),
    apartMs: fc.constantFrom(0, 0, 15, 400),
    gridMs: fc.constantFrom(0, 0, 5),
  })
  const base = fc.constantFrom(-200, 0, 1_690_000_000_000)
  return fc.tuple(base, fc.tuple(...sources.map(() => source))).map(([startMs, drawn]) => {
    const ids = { next: 0 }
    return Object.fromEntries(
      drawn.map(({ disorderMs, idleAfterMs, partitions, apartMs, gridMs }, s) => [
        sources[s],
        {
          disorderMs,
          ...(idleAfterMs === undefined ? {} : { idleAfterMs }),
          partitions: Object.fromEntries(
            partitions.map((draws, p) => {
              const keys = isConfined ? keyPool.slice(p * 4, p * 4 + 4) : keyPool.slice(0, 8)
              const rows = rowsOf(draws, keys, startMs + p * apartMs, { disorderMs, gridMs }, ids)
              const placed = rows.map(
                (row, offset): Placed => ({ row, source: sources[s], partition: `p${p}`, offset }),
              )
              return [`p${p}`, placed]
            }),
          ),
        },
      ]),
    )
  })
}

function rowsOf(
  draws: readonly Draw[],
  keys: readonly Key[],
  startMs: number,
  { disorderMs, gridMs }: { disorderMs: number; gridMs: number },
  ids: { next: number },
) {
  const rows: Row[] = []
  const later: { due: number; row: Row }[] = []
  let front = startMs
  for (const { step, back, key, n, again } of draws) {
    for (let i = 0; i < later.length; i++) {
      if (--later[i].due > 0) continue
      // A duplicate that would be late is left out.
      const [{ row }] = later.splice(i--, 1)
      if (row.at >= front - disorderMs) rows.push(row)
    }
    front += step
    const time = front - Math.min(back, disorderMs)
    // The disorder is a multiple of the grid, so rounding down makes no row late.
    const at = gridMs === 0 ? time : Math.floor(time / gridMs) * gridMs
    const row: Row = Object.freeze({ id: ids.next++, key: keys[key % keys.length], at, n })
    rows.push(row)
    if (again > 0) later.push({ due: again, row })
  }
  return rows
}

const batchRows = fc.oneof(fc.constantFrom(1, 2, 3, 7, 16, 64, 4096), fc.integer({ min: 1, max: 4096 }))

export function livesArbitrary(hasCrashes: boolean): fc.Arbitrary<Life[]> {
  const events = fc.integer({ min: 10, max: 250 })
  const end = fc.oneof(
    fc.record({ type: fc.constant('until' as const), rows: fc.nat(20) }),
    fc.record({ type: fc.constant('stop' as const), events }),
    ...(hasCrashes
      ? [
          fc.record({
            type: fc.constant('crash' as const),
            events,
            kind: fc.constantFrom('kill' as const, 'power' as const),
          }),
        ]
      : []),
  )
  const life: fc.Arbitrary<Life> = fc.record({
    workers: fc.constantFrom(1, 2, 3),
    batchRows,
    loops: fc.constantFrom('generated' as const, 'interpreted' as const),
    paceMs: fc.constantFrom(0, 1, 6, 20),
    end,
  })
  return fc.oneof(
    { weight: 1, arbitrary: fc.array(life, { minLength: 1, maxLength: 1 }) },
    { weight: 3, arbitrary: fc.array(life, { minLength: 2, maxLength: 3 }) },
  )
}

/** All rows of a source in the order of partitions and offsets. */
export function placedOf(input: Input, source: string): Placed[] {
  return Object.values(input[source].partitions).flat()
}
