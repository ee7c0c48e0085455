/**
 * The two designs that the capacity model compares, as flows. Points fall due at an interval, whatever the flow does.
 *
 *   stream   points -> work -> done                   each point by itself, with `inFlight` slots of memory
 *   batch    points -> window of n -> work -> done    all points together, with a slot for each
 *
 * The work waits, as for a model on another processor, one point at a time; with `steps` above 1, a stream's points pass
 * several such steps in a row. A window closes when the first point after it is there, so a batch gets one more,
 * without memory, that is no part of it.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import { collect, type Dataflow, type Duration, dataflow, type Stream, tumbling } from 'millrace'
import type { Sink, Source } from 'millrace/connector'
import { nowMs } from '../lib/clock.ts'
import type { Slots } from './slots.ts'

export interface Design {
  readonly points: number
  readonly intervalMs: number
  /** Per point, and step. */
  readonly processMs: number
  readonly steps: number
}

/** When the result with a point was there, by the point's number. */
export type DoneAtMs = number[]

interface Point {
  readonly number: number
  readonly slot: number
}

/** Of the point after the last one. */
const NO_SLOT = -1

export function streamFlow(design: Design, slots: Slots, startMs: number, doneAtMs: DoneAtMs): Dataflow {
  const flow = dataflow('capacity-stream')
  let points: Stream<Point> = flow.source('points', duePoints(design, slots, startMs, 0), {
    time: ({ number }) => number * design.intervalMs,
    disorder: '0ms',
  })
  for (let step = 1; step <= design.steps; step++) {
    points = points.mapAsync(`work ${step}`, (point) => work(design.processMs, point), { capacity: 1 })
  }
  points.sink('done', doneSink(slots, doneAtMs))
  return flow
}

export function batchFlow(design: Design, slots: Slots, startMs: number, doneAtMs: DoneAtMs): Dataflow {
  const windowMs = Math.round(design.points * design.intervalMs)
  const flow = dataflow('capacity-batch')
  flow
    .source('points', duePoints(design, slots, startMs, 1), {
      time: ({ number }) => (number < design.points ? number * design.intervalMs : windowMs),
      disorder: '0ms',
    })
    .windowAll(tumbling(`${windowMs}ms` as Duration))
    .aggregate('collect', { points: collect<Point>({ limit: design.points }) })
    .filter(({ points }) => points[0].slot !== NO_SLOT)
    .mapAsync('work', (batch) => work(batch.points.length * design.processMs, batch), { capacity: 1 })
    .flatMap(({ points }) => points)
    .sink('done', doneSink(slots, doneAtMs))
  return flow
}

/** Point `i` falls due at `startMs + i * intervalMs`, and is handed on when there is memory for it. */
function duePoints({ points, intervalMs }: Design, slots: Slots, startMs: number, extra: number): Source<Point> {
  return {
    kind: 'bench.duePoints',
    bounded: true,
    replayable: false,
    describe: () => ({ points, intervalMs }),
    partitions: () => ['0'],
    open: () => {
      let number = 0
      return {
        async read() {
          if (number === points + extra) return 'end'
          await until(startMs + number * intervalMs)
          const row: Point = { number, slot: number < points ? await slots.take() : NO_SLOT }
          number++
          return { rows: [row], next: number, caughtUp: true, at: () => row.number }
        },
        close() {},
      }
    },
  }
}

function doneSink(slots: Slots, doneAtMs: DoneAtMs): Sink<Point> {
  return {
    kind: 'bench.done',
    guarantee: 'at-least-once',
    describe: () => ({}),
    open: () => ({
      write(batch) {
        for (let i = 0; i < batch.length; i++) {
          const { number, slot } = batch.row(i)
          doneAtMs[number] = nowMs()
          slots.release(slot)
        }
      },
      close() {},
    }),
  }
}

async function work<R>(ms: number, result: R): Promise<R> {
  await until(nowMs() + ms)
  return result
}

/** A timer is up to 2 ms late; the rest is waited for in turns of the event loop. */
async function until(timeMs: number): Promise<void> {
  const waitMs = timeMs - nowMs() - 2
  if (waitMs > 0) await sleep(waitMs)
  while (nowMs() < timeMs) await nextTurn()
}
