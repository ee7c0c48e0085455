/**
 * A camera made of a function: draws a frame when it is due, in real time. Like a camera, it does not wait: frames that
 * nobody takes queue up as in a driver, a few of them; beyond that the oldest are dropped, and counted.
 */
import { type Position, type Source, type SourceBatch, type SourceContext, UsageError } from 'millrace/connector'
import type { FramePool } from './frame-pool.ts'
import { type ClockOptions, type VideoFrame, waitUntil } from './video-frame.ts'

export interface GeneratedVideoOptions extends ClockOptions {
  readonly pool: FramePool
  /** Frames per second, up to 1000. Default 30. */
  readonly fps?: number
  /** Ends after so many. Default: never. */
  readonly frames?: number
  /** Fills the pixels of frame `number`, every byte of them: there is an older frame in them. */
  readonly draw: (pixels: Uint8Array, number: number, at: number) => void
}

/**
 * Frames drawn by a function, `fps` a second of the clock. Not replayable: a restart goes on with the next number, now.
 * @throws UsageError `VIDEO_OPTION`
 * @example
 * import { framePool, generatedVideo } from '@millrace/connectors/video'
 * const pool = framePool('grey', { width: 16, height: 9 })
 * generatedVideo({ pool, draw: (pixels) => pixels.fill(128) }).describe() // => { width: 16, height: 9, fps: 30 }
 */
export function generatedVideo(options: GeneratedVideoOptions): Source<VideoFrame> {
  const { pool, fps = 30, frames = Number.POSITIVE_INFINITY, draw, now } = options
  checkFps(fps)
  checkFrames(frames)
  return {
    kind: 'video.generated',
    bounded: frames !== Number.POSITIVE_INFINITY,
    replayable: false,
    describe: () => ({ width: pool.width, height: pool.height, fps }),
    partitions: () => ['0'],
    open: (_partition, position, ctx) => {
      const clock = now ?? ctx.now
      let next = typeof position === 'number' ? position : 0
      const startMs = clock() - (next * 1000) / fps
      const dueMs = (number: number): number => startMs + (number * 1000) / fps

      const take = (): SourceBatch<VideoFrame> | 'end' => {
        if (next >= frames) return 'end'
        const latest = Math.min(frames - 1, Math.floor(((clock() - startMs) * fps) / 1000))
        if (latest < next) return batchOf([], next)
        const number = Math.max(next, latest - WAITING_MAX)
        if (number > next) countDropped(pool, ctx, number - next)
        next = number + 1
        const at = dueMs(number)
        const draft = pool.begin()
        try {
          draw(draft.pixels, number, at)
        } catch (error) {
          draft.drop()
          throw error
        }
        return batchOf([{ at, number, frame: draft.finish() }], next)
      }
      return {
        read: () => {
          const now = clock()
          if (next >= frames || dueMs(next) <= now) return take()
          return waitUntil(ctx, dueMs(next), now).then(take)
        },
        close() {},
      }
    },
  }
}

/** Frames behind the newest that still come: 100 ms at 30 a second, less than half of the pool's slots. */
const WAITING_MAX = 3

/** @throws UsageError `VIDEO_OPTION` */
export function checkFps(fps: number): void {
  if (fps > 0 && fps <= 1000) return
  throw new UsageError('VIDEO_OPTION', `fps is ${String(fps)}; it must be more than 0 and at most 1000.`)
}

/** @throws UsageError `VIDEO_OPTION` */
export function checkFrames(frames: number): void {
  if (frames >= 1 && (Number.isSafeInteger(frames) || frames === Number.POSITIVE_INFINITY)) return
  throw new UsageError('VIDEO_OPTION', `frames is ${String(frames)}; it must be a whole number of at least 1.`)
}

export function countDropped(pool: FramePool, ctx: SourceContext, frames: number): void {
  pool.countDropped(frames)
  ctx.lost(frames)
}

/** A camera has given everything there is, always; its position is the number of the next frame. */
export function batchOf(rows: readonly VideoFrame[], next: Position): SourceBatch<VideoFrame> {
  return { rows, next, caughtUp: true, at: (i) => rows[i].number }
}
