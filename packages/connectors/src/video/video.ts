/**
 * A video file or a camera, decoded by ffmpeg into a frame pool, in real time.
 *
 * Path of a frame: the pipe of ffmpeg -> chunks, copied once into a slot of the pool -> `#ready` -> a record, when it is
 * due. A file waits: with `aheadMax` frames ready the pipe is not read, and ffmpeg stops decoding. A device does not.
 * Frames nobody took in time are dropped and counted; the newest is given. A file that is decoded slower than it plays is
 * another matter: no frame is lost, its clock is held instead, so that its frames are not seconds old when they come.
 *
 * The process of ffmpeg belongs to the reader that started it, which ends it in `close`. Should the thread or the process
 * of the reader die without, its end of the pipe is closed, and ffmpeg ends with its next frame.
 */
import { existsSync } from 'node:fs'
import {
  OperationalError,
  type Source,
  type SourceBatch,
  type SourceContext,
  type SourceReader,
  UsageError,
} from 'millrace/connector'
import { type Ffmpeg, startFfmpeg } from './ffmpeg.ts'
import type { FrameDraft, FramePool } from './frame-pool.ts'
import { batchOf, checkFps, checkFrames, countDropped } from './generated-video.ts'
import { type ClockOptions, patienceMs, type VideoFrame, waitUntil } from './video-frame.ts'

export interface VideoOptions extends ClockOptions {
  /** A video file, an address ffmpeg reads, or a device: /dev/video0. */
  readonly input: string
  /** Frames are scaled to its size. At least 4 slots. */
  readonly pool: FramePool
  /** Frames per second of the source: ffmpeg repeats or leaves out frames to get there. Default 30. */
  readonly fps?: number
  /** File: begin again at the end. Default false. */
  readonly loop?: boolean
  /** Ends after so many. Default: with the file. */
  readonly frames?: number
  /** Format of a device, as ffmpeg calls it. Default: v4l2 for /dev/..., none for everything else, which is a file. */
  readonly device?: string
  /** Program to decode with. Default: ffmpeg on the PATH, else the one of the package @ffmpeg-installer/ffmpeg. */
  readonly ffmpeg?: string
}

/** Frames of a file that are decoded before they are due: one to give, one so that decoding never stands still. */
const aheadMax = 2
/** Kept of what ffmpeg complains. */
const complaintsMax = 2000
/** A camera that says nothing for this long is worth a line in the log. */
const silentAfterMs = 5000
/** ffmpeg is asked to end, and after this long made to. */
const endPatienceMs = 1000

/**
 * Frames of a file or a camera, `fps` a second of the clock. A file's first frame is due when it is decoded.
 * Not replayable: after a restart a file goes on behind the last committed frame, a camera with what it sees then.
 * @throws UsageError `VIDEO_OPTION`
 * @throws OperationalError while running: `VIDEO_FFMPEG`, `VIDEO_MISSING`, `VIDEO_DECODE`
 * @example
 * import { framePool, video } from '@millrace/connectors/video'
 * const pool = framePool('street', { width: 640, height: 272 })
 * video({ input: 'street.mp4', pool, fps: 25 }).describe() // => { input: 'street.mp4', width: 640, height: 272, fps: 25 }
 */
export function video(options: VideoOptions): Source<VideoFrame> {
  const { input, pool, fps = 30, loop = false, frames = Number.POSITIVE_INFINITY } = options
  checkFps(fps)
  if (typeof input !== 'string' || input === '')
    throw new UsageError('VIDEO_OPTION', 'video has no input; name a file, an address or a device.')
  checkFrames(frames)
  if (pool.slots < aheadMax + 2) {
    throw new UsageError(
      'VIDEO_OPTION',
      `frame pool "${pool.name}" has ${pool.slots} slots; video decodes ${aheadMax} frames ahead and needs at least ${aheadMax + 2}.`,
    )
  }
  const format = options.device ?? (input.startsWith('/dev/') ? 'v4l2' : undefined)
  return {
    kind: format === undefined ? 'video.file' : 'video.device',
    bounded: (format === undefined && !loop) || frames !== Number.POSITIVE_INFINITY,
    replayable: false,
    describe: () => ({
      input: withoutSecrets(input),
      width: pool.width,
      height: pool.height,
      fps,
      ...(loop ? { loop } : {}),
    }),
    partitions: () => ['0'],
    async open(_partition, position, ctx) {
      if (!/^[a-z][a-z0-9+.-]+:/i.test(input) && format === undefined && !existsSync(input))
        throw missingFile(input, ctx)
      const first = typeof position === 'number' ? position : 0
      const skip = format === undefined ? first : 0
      const { width, height } = pool
      const left = frames - first
      if (left <= 0) return { read: () => 'end', close() {} }
      const child = await startFfmpeg(options.ffmpeg, { input, format, width, height, fps, loop, skip, frames: left })
      return new VideoReader(child, { ...options, fps, isDevice: format !== undefined, first }, ctx)
    },
  }
}

interface ReaderOptions extends VideoOptions {
  readonly fps: number
  readonly isDevice: boolean
  /** Number of the first frame. */
  readonly first: number
}

class VideoReader implements SourceReader<VideoFrame> {
  readonly #child: Ffmpeg
  readonly #options: ReaderOptions
  readonly #pool: FramePool
  readonly #ctx: SourceContext
  readonly #clock: () => number
  readonly #exited: Promise<void>
  #draft: FrameDraft | undefined
  #filled = 0
  /** Complete frames that were not given yet. */
  #ready: VideoFrame[] = []
  /**
   * Of a file: what had no room. The rest of a chunk, and what was in the pipe when ffmpeg ended, as Node then empties
   * it, asked or not.
   */
  #rest: Uint8Array[] = []
  /** Number of the next frame to complete. */
  #number: number
  /** Position: number of the next frame to give. */
  #next: number
  /** When frame 0 of a file is due, were it given; set by the first frame. */
  #startMs: number | undefined
  /** Since when the pipe is not read. */
  #pausedMs: number | undefined
  /** How late a frame may be because we did not read, not because ffmpeg was slow. */
  #forgivenMs = 0
  #heldMs = 0
  #lastFrameMs: number
  #isSilent = false
  #complaints = ''
  /** How ffmpeg ended. */
  #ending: { readonly code: number | null; readonly signal: string | null } | undefined
  #isClosed = false
  #arrived: () => void = () => {}

  constructor(child: Ffmpeg, options: ReaderOptions, ctx: SourceContext) {
    this.#child = child
    this.#options = options
    this.#pool = options.pool
    this.#ctx = ctx
    this.#clock = options.now ?? ctx.now
    this.#number = options.first
    this.#next = options.first
    this.#lastFrameMs = this.#clock()
    child.stdout.on('data', (chunk: Uint8Array) => this.#take(chunk))
    child.stderr.on('data', (text) => {
      this.#complaints = (this.#complaints + String(text)).slice(-complaintsMax)
    })
    this.#exited = new Promise((resolve) => {
      // 'close' comes when the pipes have given everything, which 'exit' does not promise.
      child.once('close', (code, signal) => {
        this.#ending = { code, signal }
        this.#arrived()
        resolve()
      })
    })
  }

  read(): SourceBatch<VideoFrame> | 'end' | Promise<SourceBatch<VideoFrame> | 'end'> {
    const now = this.#clock()
    if (this.#ready.length > 0) {
      const dueMs = this.#ready[0].at
      return dueMs <= now ? this.#give() : waitUntil(this.#ctx, dueMs, now).then(() => this.#give())
    }
    if (this.#ending !== undefined) return this.#end(this.#ending)
    this.#listen(now)
    const arrived = new Promise<void>((resolve) => {
      this.#arrived = resolve
    })
    return Promise.race([arrived, this.#ctx.wait(patienceMs)]).then(() => this.#give())
  }

  async close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true
      this.#draft?.drop()
      this.#child.stdout.destroy()
      this.#child.stderr.destroy()
      this.#child.kill('SIGTERM')
    }
    const force = setTimeout(() => this.#child.kill('SIGKILL'), endPatienceMs)
    await this.#exited
    clearTimeout(force)
  }

  /** Copies a chunk of the pipe into slots of the pool: the only copy of a pixel. */
  #take(chunk: Uint8Array): void {
    if (this.#isClosed) return
    const { frameBytes } = this.#pool
    for (let from = 0; from < chunk.length; ) {
      if (!this.#options.isDevice && this.#ready.length >= aheadMax) {
        this.#rest.push(chunk.subarray(from))
        this.#pausedMs ??= this.#clock()
        this.#child.stdout.pause()
        return
      }
      this.#draft ??= this.#pool.begin()
      const part = chunk.subarray(from, from + frameBytes - this.#filled)
      this.#draft.pixels.set(part, this.#filled)
      this.#filled += part.length
      from += part.length
      if (this.#filled === frameBytes) this.#complete(this.#draft)
    }
  }

  #complete(draft: FrameDraft): void {
    const { isDevice } = this.#options
    const now = this.#clock()
    const number = this.#number++
    this.#draft = undefined
    this.#filled = 0
    this.#lastFrameMs = now
    this.#isSilent = false
    const at = isDevice ? now : this.#dueMs(number, now)
    this.#ready.push({ at, number, frame: draft.finish() })
    if (isDevice && this.#ready.length > aheadMax) this.#drop(1)
    this.#arrived()
  }

  /** When a frame of a file that is complete now is due. */
  #dueMs(number: number, now: number): number {
    const playedMs = (number * 1000) / this.#options.fps
    this.#startMs ??= now - playedMs
    const lateMs = now - (this.#startMs + playedMs)
    this.#forgivenMs = Math.min(this.#forgivenMs, Math.max(0, lateMs))
    const slowMs = lateMs - this.#forgivenMs
    if (slowMs > 1000 / this.#options.fps) {
      this.#startMs += slowMs
      if (this.#heldMs === 0) {
        const input = withoutSecrets(this.#options.input)
        this.#ctx.log(
          'warn',
          `${input} is decoded slower than it plays: its clock is held; fewer frames, or smaller ones, keep up`,
        )
      }
      this.#heldMs += slowMs
      this.#ctx.gauge('heldMs', this.#heldMs)
    }
    return this.#startMs + playedMs
  }

  /** The newest frame that is due; the ones before it were not taken in time. */
  #give(): SourceBatch<VideoFrame> | 'end' {
    const now = this.#clock()
    const due = this.#ready.filter(({ at }) => at <= now).length
    if (due === 0) {
      return this.#ending !== undefined && this.#ready.length === 0 ? this.#end(this.#ending) : batchOf([], this.#next)
    }
    if (due > 1) this.#drop(due - 1)
    const frame = this.#ready.shift() as VideoFrame
    this.#next = frame.number + 1
    this.#takeOn()
    return batchOf([frame], this.#next)
  }

  /** There is room again. */
  #takeOn(): void {
    const rest = this.#rest
    this.#rest = []
    if (this.#pausedMs !== undefined) this.#forgivenMs += this.#clock() - this.#pausedMs
    this.#pausedMs = undefined
    for (const chunk of rest) this.#take(chunk)
    if (this.#rest.length === 0) this.#child.stdout.resume()
  }

  #drop(count: number): void {
    this.#ready.splice(0, count)
    countDropped(this.#pool, this.#ctx, count)
  }

  #listen(now: number): void {
    const silentMs = now - this.#lastFrameMs
    if (this.#isSilent || silentMs < silentAfterMs) return
    this.#isSilent = true
    const input = withoutSecrets(this.#options.input)
    this.#ctx.log('warn', `the video ${input} has given no frame for ${Math.round(silentMs / 1000)} s`)
  }

  /** Everything was given. @throws OperationalError `VIDEO_DECODE` unless that was a whole file */
  #end({ code, signal }: { readonly code: number | null; readonly signal: string | null }): 'end' {
    if (this.#isClosed) return 'end'
    const { isDevice, first, frames: framesMax = Number.POSITIVE_INFINITY } = this.#options
    const input = withoutSecrets(this.#options.input)
    const complaint = withoutSecrets(this.#complaints.trim().split('\n').at(-1) ?? '')
    const frames = this.#number - first
    const isTorn = this.#filled > 0
    const isWhole = !isDevice || this.#number >= framesMax
    if (code === 0 && !isTorn && frames > 0 && isWhole) {
      if (complaint !== '') this.#ctx.log('warn', `ffmpeg decoded ${input} with errors, the last: ${complaint}`)
      this.#complaints = ''
      return 'end'
    }
    const how = signal !== null ? `was ended by ${signal}` : `ended with code ${code}`
    const where = `after ${frames} frames of ${input}${isTorn ? ', in the middle of one' : ''}`
    const remedy = isDevice
      ? 'The camera was unplugged, or another program has it; the flow starts again and looks for it'
      : 'The frames until then were given. Check that the file is whole, and a video'
    throw new OperationalError(
      'VIDEO_DECODE',
      `ffmpeg ${how} ${where}${complaint === '' ? '' : `: ${complaint}`}. ${remedy}.`,
      // A camera may come back; a file decodes no better the second time.
      { step: this.#ctx.step, retryable: isDevice, data: { input, frames, code, signal } },
    )
  }
}

function missingFile(input: string, ctx: SourceContext): OperationalError {
  return new OperationalError('VIDEO_MISSING', `there is no video file ${input}. Check the path.`, {
    step: ctx.step,
    data: { input },
  })
}

/** Addresses of cameras carry names and passwords: rtsp://me:secret@camera/1. */
function withoutSecrets(text: string): string {
  return text.replace(/\/\/[^/@\s]*@/g, '//')
}
