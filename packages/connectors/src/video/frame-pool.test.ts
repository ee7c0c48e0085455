import { describe, expect, test } from 'vitest'
import { type FrameHandle, framePool } from './frame-pool.ts'

let count = 0
const small = (slots: number) => framePool(`test ${count++}`, { width: 4, height: 2, slots })

function write(pool: ReturnType<typeof small>, value: number): FrameHandle {
  const draft = pool.begin()
  draft.pixels.fill(value)
  return draft.finish()
}

describe('a frame pool', () => {
  test('lends the pixels of a frame without a copy', () => {
    const pool = small(3)
    const draft = pool.begin()
    draft.pixels[5] = 7
    pool.read(draft.finish(), (pixels) => {
      expect(pixels.buffer).toBe(draft.pixels.buffer)
      expect(pixels.byteOffset).toBe(draft.pixels.byteOffset)
      expect([pixels.length, pixels[5]]).toEqual([4 * 2 * 3, 7])
    })
  })

  test('keeps the last frames, one fewer than it has slots while the next is written', () => {
    const pool = small(4)
    const handles = Array.from({ length: 9 }, (_, n) => write(pool, n))
    pool.begin()
    const there = handles.filter((handle) => pool.has(handle)).map(({ frame }) => frame)
    expect(there).toEqual([6, 7, 8])
    expect(there.map((frame) => pool.read(handles[frame], (pixels) => pixels[0]))).toEqual([6, 7, 8])
  })

  test('answers a handle whose slot was used again with an error that says what to do', () => {
    const pool = small(2)
    const old = write(pool, 1)
    write(pool, 2)
    write(pool, 3)
    expect(() => pool.read(old, () => 0)).toThrow(
      expect.objectContaining({
        code: 'FRAME_GONE',
        retryable: false,
        message: expect.stringMatching(/^frame 0 of pool ".*" is not in memory any more: the pool keeps 2 frames/),
      }),
    )
  })

  test('a frame that is replaced while it is looked at gives an error, never half of another frame', () => {
    const pool = small(2)
    const handle = write(pool, 1)
    const replaceIt = () => {
      write(pool, 2)
      pool.begin().pixels.fill(3)
    }
    expect(() => pool.read(handle, replaceIt)).toThrow(expect.objectContaining({ code: 'FRAME_GONE' }))
    const next = write(pool, 4)
    const stumble = () => {
      replaceIt()
      throw new Error('the pixels make no sense')
    }
    expect(() => pool.read(next, stumble)).toThrow(expect.objectContaining({ code: 'FRAME_GONE' }))
  })

  test('an error of the callback goes through when the frame is still there', () => {
    const pool = small(2)
    const fail = () => {
      throw new Error('mine')
    }
    expect(() => pool.read(write(pool, 1), fail)).toThrow('mine')
  })

  test('a frame cannot be read before it is finished, nor after it was dropped', () => {
    const pool = small(3)
    const draft = pool.begin()
    expect(pool.has(draft.handle)).toBe(false)
    draft.drop()
    expect(pool.has(draft.handle)).toBe(false)
  })

  test('a handle is plain JSON and small, and one of another process, or broken, is told from ours', () => {
    const pool = small(3)
    const handle = write(pool, 9)
    const text = JSON.stringify(handle)
    expect(text.length).toBeLessThan(100)
    expect(pool.read(JSON.parse(text), (pixels) => pixels[0])).toBe(9)
    const foreign = { ...handle, session: handle.session + 1 }
    expect(() => pool.read(foreign, () => 0)).toThrow(
      expect.objectContaining({ data: expect.objectContaining({ isForeign: true }) }),
    )
    for (const frame of [-1, 0.5, Number.NaN, 7]) expect(pool.has({ ...handle, frame })).toBe(false)
    expect(() => small(3).has(handle)).toThrow(expect.objectContaining({ code: 'FRAME_POOL_OTHER' }))
  })

  test('is the same under the same name, and refuses other sizes', () => {
    const pool = small(3)
    const handle = write(pool, 5)
    const again = framePool(pool.name, { width: 4, height: 2, slots: 3 })
    expect(again.read(handle, (pixels) => pixels[0])).toBe(5)
    expect(() => framePool(pool.name, { width: 4, height: 2, slots: 4 })).toThrow(
      expect.objectContaining({ code: 'FRAME_POOL' }),
    )
    for (const wrong of [
      { width: 0 },
      { height: 8193 },
      { slots: 1 },
      { slots: 1.5 },
      { width: 8192, height: 8192, slots: 1024 },
    ]) {
      expect(() => framePool('wrong', { width: 4, height: 2, ...wrong })).toThrow(
        expect.objectContaining({ code: 'FRAME_POOL' }),
      )
    }
  })
})
