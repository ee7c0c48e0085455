import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RemoteError } from '../remote-error.ts'
import {
  creditBody,
  creditBytesOf,
  FRAME,
  FrameWriter,
  HEADER_BYTES,
  PIECE_BYTES,
  parseFrames,
  pieces,
} from './frame.ts'

const u16 = fc.integer({ min: 0, max: 0xffff })
const u32 = fc.integer({ min: 0, max: 0xffff_ffff })
const anyFrame = fc.record({
  type: fc.constantFrom(...Object.values(FRAME)),
  flags: fc.integer({ min: 0, max: 1 }),
  stream: u16,
  call: u32,
  count: u32,
  body: fc.uint8Array({ maxLength: 300 }),
})

function written(frames: readonly (typeof anyFrame extends fc.Arbitrary<infer F> ? F : never)[]): Uint8Array {
  const writer = new FrameWriter(1)
  for (const { type, call, stream, count, flags, body } of frames) writer.write(type, call, stream, count, flags, body)
  return writer.take()
}

describe('frames', () => {
  test('are read as they were written', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 20 }), (frames) => {
        expect(parseFrames(written(frames))).toEqual(frames)
      }),
    )
  })

  test('cut anywhere are refused, and never misread', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 5 }), fc.nat(), (frames, at) => {
        const message = written(frames)
        const cut = at % message.length
        const ends = frames.map((_, i) => written(frames.slice(0, i + 1)).length)
        if (cut === 0 || ends.includes(cut)) return
        expect(() => parseFrames(message.subarray(0, cut))).toThrow(RemoteError)
      }),
    )
  })

  test('made of any bytes are read or refused with PROTOCOL_ERROR', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          expect(parseFrames(bytes).reduce((sum, { body }) => sum + HEADER_BYTES + body.length, 0)).toBe(bytes.length)
        } catch (error) {
          expect(error).toMatchObject({ code: 'PROTOCOL_ERROR' })
        }
      }),
    )
  })

  test('of a length that no frame has are refused without reserving it', () => {
    const message = written([{ type: FRAME.PING, call: 0, stream: 0, count: 0, flags: 0, body: new Uint8Array(0) }])
    new DataView(message.buffer).setUint32(12, 0xffff_ffff, true)
    expect(() => parseFrames(message)).toThrow('4294967295 bytes')
  })

  test('carry credits of a whole u32', () => {
    const body = creditBody(0xffff_ffff)
    expect(creditBytesOf({ type: FRAME.CREDIT, flags: 0, stream: 0, call: 1, count: 1, body })).toBe(0xffff_ffff)
  })
})

test('a body is cut into pieces that make it up again, all but the last of them full', () => {
  for (const length of [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 7]) {
    const body = new Uint8Array(length).map((_, i) => i % 253)
    const all = pieces(body)
    expect(Buffer.compare(Buffer.concat(all), body)).toBe(0)
    expect(all.slice(0, -1).every((piece) => piece.length === PIECE_BYTES)).toBe(true)
  }
})
