/** Video through a real ffmpeg. Where there is none (npm brings one on every platform it has), these tests are skipped. */
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { SourceContext } from 'millrace/connector'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestFolder, testContext } from '../../test/test-files.ts'
import { findFfmpeg } from './ffmpeg.ts'
import { type FramePool, framePool } from './frame-pool.ts'
import { type VideoOptions, video } from './video.ts'
import type { VideoFrame } from './video-frame.ts'

const ffmpeg = findFfmpeg()
const folder = new TestFolder()
const WIDTH = 64
const HEIGHT = 48
const FRAMES = 15
const FPS = 50
/** For tests in which nothing may be dropped: ten times the time for each frame, since other tests run beside them. */
const slowly = () => performance.now() / 10
let count = 0

describe.skipIf(ffmpeg === undefined)('video', () => {
  let clip: string
  beforeAll(() => {
    clip = makeClip()
  })
  afterAll(() => folder.remove())

  test('gives every frame of a file, pixel by pixel, with times that are 1 / fps apart', async () => {
    const { pool, frames } = await watch({ input: clip, now: slowly })
    expect(frames.map(({ number }) => number)).toEqual(Array.from({ length: FRAMES }, (_, n) => n))
    expect(frames.map(({ shade }) => shade)).toEqual(Array.from({ length: FRAMES }, (_, n) => n * 8))
    for (const { number, at } of frames) expect(at - frames[0].at).toBeCloseTo((number * 1000) / FPS, 3)
    expect(pool.stats()).toEqual({ taken: FRAMES, dropped: 0 })
  })

  test('gives no frame before it is due', async () => {
    const { frames } = await watch({ input: clip, now: slowly })
    for (const { at, takenAt } of frames) expect(takenAt).toBeGreaterThanOrEqual(at)
  })

  test('what is not taken in time is dropped and counted; nothing is lost without a count', async () => {
    const { pool, frames, lost } = await watch({ input: clip }, { pauseMs: 100 })
    expect(lost).toBeGreaterThan(0)
    expect(frames.length + lost).toBe(FRAMES)
    expect(pool.stats()).toEqual({ taken: FRAMES, dropped: lost })
    expect(frames.at(-1)?.shade).toBe((FRAMES - 1) * 8)
  })

  test('a file that nobody reads makes ffmpeg wait: two frames are ready, one is begun', async () => {
    const pool = newPool()
    const reader = await video({ input: clip, pool, fps: FPS, loop: true }).open('0', undefined, realContext())
    await sleep(500)
    expect(pool.stats().taken).toBeGreaterThanOrEqual(2)
    expect(pool.stats().taken).toBeLessThanOrEqual(3 + Math.ceil(65_536 / pool.frameBytes))
    await reader.close()
  })

  test('a file that is decoded slower than it plays loses no frame: its clock is held, and the log says so', async () => {
    const bytes = WIDTH * HEIGHT * 3
    const slow = script('slow', `for i in 1 2 3 4 5; do head -c ${bytes} /dev/zero; sleep 0.15; done`)
    const { frames, lost, warnings } = await watch({ input: clip, ffmpeg: slow })
    expect([frames.length, lost, warnings.length]).toEqual([5, 0, 1])
    expect(warnings[0]).toContain('is decoded slower than it plays')
    for (const { number, at, takenAt } of frames) {
      if (number > 0) expect(at - frames[number - 1].at).toBeGreaterThan(100)
      expect(takenAt - at).toBeLessThan(5 * 20)
    }
  })

  test('ends after as many frames as were asked for, also when it goes on behind a position', async () => {
    const numbers = async (position?: number) => {
      const { frames } = await watch(
        { input: clip, frames: 4, now: slowly },
        position === undefined ? {} : { position },
      )
      return frames.map(({ number }) => number)
    }
    expect(await numbers()).toEqual([0, 1, 2, 3])
    expect(await numbers(2)).toEqual([2, 3])
    expect(await numbers(4)).toEqual([])
  })

  test('damage inside a file that ffmpeg gets over is a warning, or an error; it is never silent', async () => {
    const bytes = readFileSync(clip)
    bytes.fill(0x55, Math.floor(bytes.length * 0.6), Math.floor(bytes.length * 0.62))
    const damaged = folder.file('damaged.mkv', bytes)
    const said = await watch({ input: damaged, now: slowly }).then(
      ({ warnings }) => warnings.join(),
      (error) => error.code,
    )
    expect(said).toMatch(/with errors|VIDEO_DECODE/)
  })

  test('goes on behind a position', async () => {
    const { frames } = await watch({ input: clip, now: slowly }, { position: 10 })
    expect(frames.map(({ number, shade }) => [number, shade])).toEqual([10, 11, 12, 13, 14].map((n) => [n, n * 8]))
  })

  test('scales to the pool and to the rate', async () => {
    const pool = framePool('scaled', { width: 32, height: 16, slots: 4 })
    const { frames } = await watch({ input: clip, pool, fps: 25, now: slowly })
    expect(frames.length).toBeGreaterThanOrEqual(Math.floor(FRAMES / 2))
    expect(frames.length).toBeLessThanOrEqual(FRAMES / 2 + 1)
    expect(frames[0].at - frames[1].at).toBeCloseTo(-40, 3)
  })

  test('a file that is no video, that is missing, or a decoder that is missing: an error that names it', async () => {
    const garbage = folder.file('garbage.mp4', 'this is no video')
    await expect(watch({ input: garbage })).rejects.toMatchObject({
      code: 'VIDEO_DECODE',
      retryable: false,
      message: expect.stringContaining('garbage.mp4'),
    })
    await expect(watch({ input: folder.at('none.mp4') })).rejects.toMatchObject({ code: 'VIDEO_MISSING' })
    await expect(watch({ input: clip, ffmpeg: '/none/ffmpeg' })).rejects.toMatchObject({ code: 'VIDEO_FFMPEG' })
  })

  test('a decoder that dies in the middle of a frame: the frames before it, then an error', async () => {
    const bytes = WIDTH * HEIGHT * 3
    const dying = script('dying', `head -c ${bytes * 3 + 100} /dev/zero; kill -9 $$`)
    const { reader, frames, readOn } = await opened({ input: clip, ffmpeg: dying })
    await expect(readOn()).rejects.toMatchObject({
      code: 'VIDEO_DECODE',
      message: expect.stringContaining('was ended by SIGKILL after 3 frames'),
      data: { frames: 3, signal: 'SIGKILL' },
    })
    expect(frames.length).toBe(3)
    await reader.close()
  })

  test('a camera that ends is an error that a restart may mend', async () => {
    const unplugged = script('unplugged', `head -c ${WIDTH * HEIGHT * 3} /dev/zero`)
    await expect(watch({ input: '/dev/video-none', ffmpeg: unplugged })).rejects.toMatchObject({
      code: 'VIDEO_DECODE',
      retryable: true,
    })
  })

  test('a camera that was asked for so many frames ends with them; its password stays out of messages', async () => {
    const camera = script('camera', `head -c ${WIDTH * HEIGHT * 3 * 2} /dev/zero; echo "rtsp://me:secret@door: hm" >&2`)
    const url = 'rtsp://me:secret@door/1'
    const { frames, warnings } = await watch({ input: url, device: 'rtsp', frames: 2, ffmpeg: camera })
    expect(frames.at(-1)?.number).toBe(1)
    const failure = await watch({ input: url, device: 'rtsp', ffmpeg: camera }).catch((error) => error.message)
    expect(warnings.join()).toContain('rtsp://door')
    expect(failure).toContain('rtsp://door')
    expect(warnings.join() + failure).not.toContain('secret')
  })

  test('a camera that is not read in time: the newest frames stay, the others are counted', async () => {
    const quick = script('quick', `head -c ${WIDTH * HEIGHT * 3 * 20} /dev/zero; sleep 60`)
    const { reader, read, lost, pool } = await opened({ input: '/dev/video-none', ffmpeg: quick })
    for (let waited = 0; pool.stats().taken < 20 && waited < 5000; waited += 20) await sleep(20)
    expect(lost()).toBe(18)
    expect((await read()).map(({ number }) => number)).toEqual([19])
    expect(lost()).toBe(19)
    await reader.close()
  })

  test('closing ends ffmpeg, also one that does not listen', async () => {
    const pids = [`exec "${ffmpeg}" "$@"`, `trap '' TERM; cat /dev/zero; while :; do sleep 0.05; done`].map(
      async (body, i) => {
        const file = folder.at(`pid ${i}`)
        const { reader } = await opened({
          input: clip,
          loop: true,
          ffmpeg: script(`pid-${i}`, `echo $$ > "${file}"; ${body}`),
        })
        const pid = await pidIn(file)
        expect(isAlive(pid)).toBe(true)
        await reader.close()
        return pid
      },
    )
    for (const pid of await Promise.all(pids)) expect(isAlive(pid)).toBe(false)
  })

  test('ffmpeg is asked to end before it is made to', async () => {
    const file = folder.at('asked')
    const polite = script('polite', `trap 'echo yes > "${file}"; exit' TERM; while :; do sleep 0.05; done`)
    const { reader } = await opened({ input: clip, ffmpeg: polite })
    await sleep(200)
    await reader.close()
    expect(readFileSync(file, 'utf8')).toBe('yes\n')
  })

  test('a process that is killed with -9 leaves no ffmpeg behind', async () => {
    const file = folder.at('orphan')
    const wrapped = script('orphan.sh', `echo $$ > "${file}"; exec "${ffmpeg}" "$@"`)
    const program = fileURLToPath(new URL('../../test/video-process.ts', import.meta.url))
    const child = spawn(process.execPath, ['--conditions=millrace-source', program, clip, wrapped], { stdio: 'ignore' })
    const pid = await pidIn(file)
    child.kill('SIGKILL')
    for (let waited = 0; isAlive(pid) && waited < 5000; waited += 20) await sleep(20)
    expect(isAlive(pid)).toBe(false)
  })
})

test('options that cannot work are refused, and secrets of an address stay out of the plan', () => {
  const wrong = expect.objectContaining({ code: 'VIDEO_OPTION' })
  const pool = newPool()
  expect(() => video({ input: '', pool })).toThrow(wrong)
  expect(() => video({ input: 'a.mp4', pool, fps: 0 })).toThrow(wrong)
  expect(() => video({ input: 'a.mp4', pool: framePool('few', { width: 2, height: 2, slots: 3 }) })).toThrow(wrong)
  expect(video({ input: 'rtsp://me:secret@camera/1', pool }).describe()).toMatchObject({ input: 'rtsp://camera/1' })
  expect([video({ input: '/dev/video0', pool }).kind, video({ input: '/dev/video0', pool }).bounded]).toEqual([
    'video.device',
    false,
  ])
})

interface Watched extends VideoFrame {
  readonly shade: number
  readonly takenAt: number
}

function newPool(): FramePool {
  return framePool(`video ${count++}`, { width: WIDTH, height: HEIGHT, slots: 6 })
}

function realContext(extra: Partial<SourceContext> = {}): SourceContext {
  return { ...testContext(), now: () => performance.now(), wait: async (ms) => sleep(ms), ...extra }
}

async function opened(options: Partial<VideoOptions> & { readonly input: string }, position?: number) {
  const pool = options.pool ?? newPool()
  let lost = 0
  const warnings: string[] = []
  const ctx = realContext({
    lost: (n) => {
      lost += n
    },
    log: (_level, message) => void warnings.push(message),
  })
  const reader = await video({ pool, fps: FPS, ...options }).open('0', position, ctx)
  const frames: Watched[] = []
  let hasEnded = false
  const read = async (): Promise<readonly VideoFrame[]> => {
    const batch = await reader.read(10)
    if (batch === 'end') hasEnded = true
    const rows = batch === 'end' ? [] : (batch.rows as readonly VideoFrame[])
    for (const row of rows)
      frames.push({ ...row, shade: pool.read(row.frame, shadeOf), takenAt: (options.now ?? ctx.now)() })
    return rows
  }
  const readOn = async (pauseMs = 0): Promise<void> => {
    while (!hasEnded) {
      await read()
      if (pauseMs > 0) await sleep(pauseMs)
    }
  }
  return { reader, read, readOn, pool, frames, warnings, lost: () => lost }
}

async function watch(
  options: Partial<VideoOptions> & { readonly input: string },
  { pauseMs = 0, position }: { readonly pauseMs?: number; readonly position?: number } = {},
) {
  const { reader, readOn, pool, frames, warnings, lost } = await opened(options, position)
  try {
    await readOn(pauseMs)
  } finally {
    await reader.close()
  }
  return { pool, frames, warnings, lost: lost() }
}

/** The shade of an even frame; NaN when it is not even. */
function shadeOf(pixels: Uint8Array): number {
  return pixels.every((value) => value === pixels[0]) ? pixels[0] : Number.NaN
}

/** Even frames, each of its own shade, without loss. */
function makeClip(): string {
  const file = folder.at('clip.mkv')
  const raw = Buffer.concat(Array.from({ length: FRAMES }, (_, n) => Buffer.alloc(WIDTH * HEIGHT * 3, n * 8)))
  const format = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', `${WIDTH}x${HEIGHT}`, '-r', `${FPS}`]
  const args = ['-y', '-loglevel', 'error', ...format, '-i', 'pipe:0', '-c:v', 'ffv1', '-pix_fmt', 'bgr0', file]
  execFileSync(ffmpeg as string, args, { input: raw })
  return file
}

function script(name: string, body: string): string {
  const file = folder.file(name, `#!/bin/sh\n${body}\n`)
  chmodSync(file, 0o755)
  return file
}

async function pidIn(file: string): Promise<number> {
  for (let waited = 0; waited < 20_000; waited += 20) {
    if (existsSync(file) && readFileSync(file, 'utf8').endsWith('\n')) return Number(readFileSync(file, 'utf8'))
    await sleep(20)
  }
  throw new Error(`${file} was not written`)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
