/**
 * Perception to action: camera frames at 30 a second, a sensor at 100 Hz and words at irregular times become one stream
 * of frames, each with the latest sensor reading and word as of its own time.
 *
 * Frames are passed by reference: their pixels lie in shared memory, and the record names the slot. A frame that waits
 * for the sensor is state, so pixels in the record would be written to disk at every commit; `pixels: 'inRecord'` does
 * that, to see what it costs.
 */
import { dataflow } from 'millrace'
import type { Source, SourceReader } from 'millrace/connector'
import { nowMs } from '../lib/clock.ts'
import { latencySink } from '../lib/latency-sink.ts'
import { openLoop } from '../lib/open-loop.ts'

export interface FusionSettings {
  readonly wait: 'watermark' | '10ms'
  readonly pixels: 'byReference' | 'inRecord'
  readonly startMs: number
  readonly durationMs: number
  readonly measureFromMs: number
  readonly folder: string
}

interface Frame {
  readonly at: number
  /** Where in `memory` the pixels are. */
  readonly slot: number
  readonly pixels?: Uint8Array
}

interface Reading {
  readonly at: number
  readonly force: number
}

interface Word {
  readonly at: number
  readonly text: string
}

const settings: FusionSettings = JSON.parse(process.env.MILLRACE_FUSION as string)

/** Pixels of the last 8 frames, 1920 x 1080 of 3 bytes, that the camera fills in turn. */
const memory = Array.from({ length: 8 }, () => new Uint8Array(new SharedArrayBuffer(1920 * 1080 * 3)))

const camera = openLoop<Frame>({
  ...settings,
  rate: 30,
  make: (number, at) => {
    const slot = number % memory.length
    return settings.pixels === 'byReference' ? { at, slot } : { at, slot, pixels: memory[slot] }
  },
})
const sensor = openLoop<Reading>({ ...settings, rate: 100, make: (n, at) => ({ at, force: Math.sin(n / 50) }) })

export const fusion = dataflow('fusion')

const robot = () => 'robot'
const frames = fusion.source('camera', camera, { time: (frame) => frame.at, disorder: '0ms' })
const readings = fusion.source('sensor', sensor, { time: (reading) => reading.at, disorder: '0ms' })
// Nobody speaks for seconds: silence must not hold the frames back.
const words = fusion.source('language', speech(), { time: (word) => word.at, disorder: '0ms', idleAfter: '5ms' })

frames
  .keyBy(robot)
  .asOf(
    'fuse',
    {
      reading: { stream: readings.keyBy(robot), within: '20ms', required: true },
      word: { stream: words.keyBy(robot), within: '10s' },
    },
    { wait: settings.wait },
  )
  .map(({ left, reading, word }) => ({
    at: left.at,
    command: word?.text,
    grip: reading.force * brightness(memory[left.slot]),
  }))
  .sink(
    'actions',
    latencySink(settings.folder, ({ at }) => (at >= settings.measureFromMs ? at : undefined)),
  )

/** Stands for a model: looks at a pixel in a thousand. */
function brightness(pixels: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < pixels.length; i += 1000) sum += pixels[i]
  return sum
}

/** Words 50 ms to 4 s apart. */
function speech(): Source<Word> {
  const times: number[] = []
  let random = 1
  for (let at = settings.startMs; at < settings.startMs + settings.durationMs; ) {
    times.push(at)
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0
    at += 50 + (random / 2 ** 32) * 3950
  }
  return {
    kind: 'bench.speech',
    bounded: true,
    replayable: true,
    describe: () => ({}),
    partitions: () => ['0'],
    open: (_, position): SourceReader<Word> => {
      let next = (position as number) ?? 0
      return {
        async read() {
          if (next === times.length) return 'end'
          await new Promise((resolve) => setTimeout(resolve, Math.min(5, Math.max(0, times[next] - nowMs()))))
          const first = next
          const rows: Word[] = []
          for (; next < times.length && times[next] <= nowMs(); next++) {
            rows.push({ at: times[next], text: `word ${next}` })
          }
          return { rows, next, caughtUp: true, at: (i) => first + i }
        },
        close() {},
      }
    },
  }
}
