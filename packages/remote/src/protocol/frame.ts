/**
 * Frames: what travels between client, gateway and node. A message of the link holds one or more of them.
 *
 *   offset 0   u8   type
 *          1   u8   flags
 *          2   u16  stream: 0 is the result of a call, 1.. are the streams among its arguments
 *          4   u32  call: chosen by who opened it, unique on its link; 0 is the link itself
 *          8   u32  count: items of an ITEMS frame, items granted by a CREDIT frame
 *         12   u32  length of the body
 *         16   body
 *
 * All numbers are little-endian. The gateway reads these 16 bytes and the header of an OPEN; bodies are opaque to it.
 *
 * Invariants:
 *  F1  A body longer than `PIECE_BYTES` is cut: all pieces but the last carry MORE, all but the first are PART frames of the
 *      same call and stream, and other calls' frames may lie between them.
 *  F2  ITEMS and what lies behind the first piece of a body spend credit that the receiving end has granted.
 *  F3  After END, RESULT or ERROR (without MORE) a call sends nothing more in that direction.
 */
import { RemoteError } from '../remote-error.ts'

export const FRAME = {
  /** Call 0, body JSON: who connects. The first frame of a link, answered by WELCOME or ERROR. */
  HELLO: 1,
  WELCOME: 2,
  /** Call 0, body JSON: what a node offers, whole, each time it changes. */
  OFFER: 3,
  /** Begins a call: a body of u32 length of the header, header JSON, encoded arguments. */
  OPEN: 4,
  /**
   * The node begins to run the call. For a call that was QUEUED it waits until the gateway sends the same back: from then on
   * the call is not placed on another node, unless it is idempotent.
   */
  STARTED: 5,
  ITEMS: 6,
  /** A further piece of the body before it. */
  PART: 7,
  /** A stream has come to its end. */
  END: 8,
  /** The value of a call; its end. */
  RESULT: 9,
  /** Body JSON: a call failed, or with call 0 the link. */
  ERROR: 10,
  /** The caller wants no more. */
  CANCEL: 11,
  /** `count` items more, and a body of u32: bytes more. */
  CREDIT: 12,
  PING: 13,
  PONG: 14,
  /** Call 0: the sender will take no new calls on this link; those that run come to their end. */
  DRAIN: 15,
  /** The consumer of a stream that may be resumed has gone and may come back: the node keeps the stream. */
  HOLD: 16,
  /** Call 0, body JSON `{ id }`: nobody resumes this stream any more; from a node: it is not kept any more. */
  RELEASE: 17,
  /** The node has the call and does not run it yet: until STARTED it may be placed on another node. */
  QUEUED: 18,
} as const

export type FrameType = (typeof FRAME)[keyof typeof FRAME]

export const FLAG_MORE = 1

export const HEADER_BYTES = 16

/** Long enough to cost little per byte, short enough that other calls do not wait for it. */
export const PIECE_BYTES = 64 * 1024

/** Of arguments longer than one piece, what may go out before the node asks for more. */
export const ARGS_CREDIT_BYTES = 1024 * 1024

/** No single frame is larger: a length beyond it is no frame. */
export const FRAME_BYTES_MAX = 1024 * 1024

export interface Frame {
  readonly type: FrameType
  readonly flags: number
  readonly stream: number
  readonly call: number
  readonly count: number
  /** A view into the message it came in; copy it to keep it. */
  readonly body: Uint8Array
}

export const NO_BODY = new Uint8Array(0)

export function hasMore(frame: Frame): boolean {
  return (frame.flags & FLAG_MORE) !== 0
}

/**
 * The frames of a message, in order.
 * @throws RemoteError `PROTOCOL_ERROR` when the message is not made of whole frames of known types
 */
export function parseFrames(message: Uint8Array): Frame[] {
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
  const frames: Frame[] = []
  let at = 0
  while (at < message.length) {
    if (at + HEADER_BYTES > message.length) throw broken(`a frame header is cut off after ${message.length - at} bytes`)
    const type = view.getUint8(at)
    const flags = view.getUint8(at + 1)
    const length = view.getUint32(at + 12, true)
    if (type < FRAME.HELLO || type > FRAME.QUEUED) throw broken(`there is no frame type ${type}`)
    if (flags > FLAG_MORE) throw broken(`flags ${flags} are not known`)
    if (length > FRAME_BYTES_MAX) throw broken(`a frame of ${length} bytes is above ${FRAME_BYTES_MAX}`)
    const start = at + HEADER_BYTES
    if (start + length > message.length) {
      throw broken(`a body of ${length} bytes is cut off after ${message.length - start}`)
    }
    frames.push({
      type: type as FrameType,
      flags,
      stream: view.getUint16(at + 2, true),
      call: view.getUint32(at + 4, true),
      count: view.getUint32(at + 8, true),
      body: length === 0 ? NO_BODY : message.subarray(start, start + length),
    })
    at = start + length
  }
  return frames
}

function broken(what: string): RemoteError {
  return new RemoteError('PROTOCOL_ERROR', `${what}; the peer does not speak this protocol, or bytes were lost.`)
}

const CAPACITY_BYTES = 4096

/** Gathers frames into one message. */
export class FrameWriter {
  #bytes: Uint8Array
  #view: DataView
  #length = 0

  constructor(capacity = CAPACITY_BYTES) {
    this.#bytes = new Uint8Array(capacity)
    this.#view = new DataView(this.#bytes.buffer)
  }

  get length(): number {
    return this.#length
  }

  write(type: FrameType, call: number, stream: number, count: number, flags: number, body: Uint8Array): void {
    const at = this.#length
    this.#reserve(at + HEADER_BYTES + body.length)
    const view = this.#view
    view.setUint8(at, type)
    view.setUint8(at + 1, flags)
    view.setUint16(at + 2, stream, true)
    view.setUint32(at + 4, call, true)
    view.setUint32(at + 8, count, true)
    view.setUint32(at + 12, body.length, true)
    if (body.length > 0) this.#bytes.set(body, at + HEADER_BYTES)
    this.#length = at + HEADER_BYTES + body.length
  }

  /** The message so far, which the caller then owns; the writer begins anew. */
  take(): Uint8Array {
    const message = this.#bytes.subarray(0, this.#length)
    // The next is likely as long; the room is cleared by the platform, so more of it would cost.
    this.#bytes = new Uint8Array(Math.max(CAPACITY_BYTES, Math.min(this.#length, FRAME_BYTES_MAX)))
    this.#view = new DataView(this.#bytes.buffer)
    this.#length = 0
    return message
  }

  #reserve(length: number): void {
    if (length <= this.#bytes.length) return
    const bytes = new Uint8Array(Math.max(length, this.#bytes.length * 2))
    bytes.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer)
  }
}

/** The pieces of a body, at least one. */
export function pieces(body: Uint8Array): Uint8Array[] {
  if (body.length <= PIECE_BYTES) return [body]
  const out: Uint8Array[] = []
  for (let at = 0; at < body.length; at += PIECE_BYTES) out.push(body.subarray(at, at + PIECE_BYTES))
  return out
}

/** Body of a CREDIT frame. */
export function creditBody(bytes: number): Uint8Array {
  const body = new Uint8Array(4)
  new DataView(body.buffer).setUint32(0, bytes, true)
  return body
}

export function creditBytesOf(frame: Frame): number {
  if (frame.body.length !== 4) throw broken(`a credit of ${frame.body.length} bytes, not 4`)
  return new DataView(frame.body.buffer, frame.body.byteOffset, 4).getUint32(0, true)
}
