/** The camera branch's source: a file or device through ffmpeg when one is given, a drawn scene otherwise. */
import { type FramePool, generatedVideo, type VideoFrame, video } from '@millrace/connectors/video'
import type { Source } from 'millrace'
import type { VisionRecord } from './records.ts'
import { mapped } from './wrap-source.ts'

export interface CameraOptions {
  readonly robot: string
  readonly pool: FramePool
  readonly fps: number
  /** A video file or a device; undefined: the drawn scene. */
  readonly input: string | undefined
  /** Ends after so many frames, a file at the latest with its end; undefined: goes on. */
  readonly frames: number | undefined
  readonly now: () => number
}

export function camera(options: CameraOptions): Source<VisionRecord> {
  const { robot, pool, fps, input, frames, now } = options
  const source =
    input === undefined
      ? generatedVideo({ pool, fps, now, draw: scene(pool), ...(frames === undefined ? {} : { frames }) })
      : video({ input, pool, fps, now, ...(frames === undefined ? {} : { frames }) })
  return mapped<VideoFrame, VisionRecord>(source, ({ at, frame }) => ({ robot, at, frame }))
}

/** The lamp is away in the last of every ten seconds. */
const PERIOD_FRAMES = 300
const AWAY_FRAMES = 30

/** Where the lamp's centre is in frame `number`, 0..1; undefined while it is away. */
export function lampAt(number: number): { readonly x: number; readonly y: number } | undefined {
  if (number % PERIOD_FRAMES >= PERIOD_FRAMES - AWAY_FRAMES) return undefined
  return { x: 0.5 + 0.35 * Math.sin(number / 40), y: 0.5 + 0.3 * Math.cos(number / 27) }
}

/** A dark room with noise, and a lamp that moves. Every byte is written, as a camera would. */
function scene(pool: FramePool): (pixels: Uint8Array, number: number) => void {
  const { width, height, frameBytes } = pool
  const room = new Uint8Array(frameBytes)
  let random = 1
  for (let i = 0; i < frameBytes; i++) {
    random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0
    room[i] = 28 + (random >>> 27)
  }
  const radius = Math.round(height / 18)
  return (pixels, number) => {
    // Moved by some rows, so that the noise differs from frame to frame.
    const cut = ((number * 37) % height) * width * 3
    pixels.set(room.subarray(cut), 0)
    pixels.set(room.subarray(0, cut), frameBytes - cut)
    const lamp = lampAt(number)
    if (lamp === undefined) return
    const centreX = Math.round(lamp.x * width)
    const centreY = Math.round(lamp.y * height)
    for (let y = -radius; y <= radius; y++) {
      const reach = Math.floor(Math.sqrt(radius ** 2 - y ** 2))
      const from = ((centreY + y) * width + centreX - reach) * 3
      pixels.fill(235, from, from + (2 * reach + 1) * 3)
    }
  }
}
