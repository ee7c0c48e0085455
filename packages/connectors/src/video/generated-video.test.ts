import type { SourceContext } from 'millrace/connector'
import { expect, test } from 'vitest'
import { testContext } from '../../test/test-files.ts'
import { framePool } from './frame-pool.ts'
import { generatedVideo } from './generated-video.ts'

let count = 0

/** A source on a clock that stands still unless it is waited for, or moved. */
function opened(frames: number | undefined, position?: number, fps = 25) {
  const pool = framePool(`generated ${count++}`, { width: 2, height: 2, slots: 4 })
  const clock = { now: 1000 }
  let lost = 0
  const ctx: SourceContext = {
    ...testContext(),
    now: () => clock.now,
    wait: async (ms) => {
      clock.now += ms
    },
    lost: (n) => {
      lost += n
    },
  }
  const draw = (pixels: Uint8Array, number: number) => pixels.fill(number)
  const source = generatedVideo({ pool, fps, draw, ...(frames === undefined ? {} : { frames }) })
  const reader = source.open('0', position, ctx)
  return { pool, clock, reader, lost: () => lost }
}

async function readAll({ reader, pool, clock }: ReturnType<typeof opened>) {
  const seen: [number: number, at: number, pixel: number, now: number][] = []
  for (;;) {
    const batch = await (await reader).read(10)
    if (batch === 'end') return seen
    for (const { number, at, frame } of batch.rows as never[])
      seen.push([number, at, pool.read(frame, (p) => p[0]), clock.now])
  }
}

test('a generated video gives each frame when it is due, with its time', async () => {
  expect(await readAll(opened(4))).toEqual([
    [0, 1000, 0, 1000],
    [1, 1040, 1, 1040],
    [2, 1080, 2, 1080],
    [3, 1120, 3, 1120],
  ])
})

test('up to three frames wait to be taken; beyond them the oldest are dropped and counted', async () => {
  const video = opened(8)
  await (await video.reader).read(10)
  video.clock.now += 250
  expect(await readAll(video)).toEqual([
    [3, 1120, 3, 1250],
    [4, 1160, 4, 1250],
    [5, 1200, 5, 1250],
    [6, 1240, 6, 1250],
    [7, 1280, 7, 1280],
  ])
  expect([video.lost(), video.pool.stats()]).toEqual([2, { taken: 6, dropped: 2 }])
})

test('the last frames are given also when they are late', async () => {
  const video = opened(6)
  video.clock.now += 60_000
  expect((await readAll(video)).map(([number]) => number)).toEqual([2, 3, 4, 5])
  expect(video.lost()).toBe(2)
})

test('a restart goes on with the next number, now', async () => {
  expect(await readAll(opened(7, 5))).toEqual([
    [5, 1000, 5, 1000],
    [6, 1040, 6, 1040],
  ])
})

test('a drawing that fails leaves no frame behind', async () => {
  const pool = framePool('failing', { width: 2, height: 2 })
  const draw = () => {
    throw new Error('no paint')
  }
  const reader = await generatedVideo({ pool, draw }).open('0', undefined, testContext())
  expect(() => reader.read(1)).toThrow('no paint')
  expect(pool.has({ pool: 'failing', session: 0, frame: 0 })).toBe(false)
})

test('rates and numbers out of range are refused', () => {
  const pool = framePool('options', { width: 2, height: 2 })
  const wrong = expect.objectContaining({ code: 'VIDEO_OPTION' })
  for (const fps of [0, -1, 1001, Number.NaN]) expect(() => generatedVideo({ pool, fps, draw() {} })).toThrow(wrong)
  expect(() => generatedVideo({ pool, frames: 0, draw() {} })).toThrow(wrong)
})
