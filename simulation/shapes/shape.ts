/** A flow to simulate, with the batch oracle that says what must come out of it. */
import type { Dataflow } from 'millrace'
import { type Duration, dataflow, type Stream } from 'millrace'
import { arraySink, arraySource, type SimWorld } from 'millrace/testing'
import type { Event, Input } from '../data.ts'

/** A row of the output; the rest of it is compared too. */
export interface Row {
  readonly key: string
}

export interface ShapeSettings {
  readonly disorderMs: number
  /** Partitions that are quiet for this long do not hold the watermark back. */
  readonly idleAfter: Duration | undefined
}

export interface Shape {
  readonly name: string
  readonly sources: readonly string[]
  /** Do events come twice? Then the flow must take each once. */
  readonly hasDuplicates?: boolean
  /** 'per key': each key's rows come in the oracle's order. 'any': as a multiset. */
  readonly order: 'per key' | 'any'
  build(world: SimWorld, settings: ShapeSettings): Dataflow
  /** What must be in the sink `out`. */
  expected(input: Input): Row[]
}

/** A flow with the sources of a shape, and its sink. */
export function flowOf(
  sources: readonly string[],
  settings: ShapeSettings,
  connect: (...streams: Stream<Event>[]) => Stream<Row>,
): Dataflow {
  const flow = dataflow('simulated')
  const options = { time: (e: Event) => e.at, disorder: `${settings.disorderMs}ms` as const, align: '1h' as const }
  const streams = sources.map((name) =>
    flow.source(
      name,
      arraySource<Event>([]),
      settings.idleAfter === undefined ? options : { ...options, idleAfter: settings.idleAfter },
    ),
  )
  connect(...streams).sink('out', arraySink<Row>([]))
  return flow
}
