/** The body of an OPEN frame: u32 length of the header, the header as JSON, the encoded arguments. */
import { RemoteError } from '../remote-error.ts'
import { decodeJson, encodeJson } from './codec.ts'
import { PIECE_BYTES } from './frame.ts'
import { type OpenHeader, parseOpen } from './messages.ts'

/** The header lies whole in the first piece. */
const OPEN_HEADER_BYTES_MAX = PIECE_BYTES / 2

/** @throws RemoteError `INVALID_ARGUMENT` when tags and keys are too long */
export function openBody(header: OpenHeader, args: Uint8Array): Uint8Array {
  const json = encodeJson(header)
  if (json.length > OPEN_HEADER_BYTES_MAX) {
    throw new RemoteError(
      'INVALID_ARGUMENT',
      `the options of a call take ${json.length} bytes, above ${OPEN_HEADER_BYTES_MAX}.`,
    )
  }
  const body = new Uint8Array(4 + json.length + args.length)
  new DataView(body.buffer).setUint32(0, json.length, true)
  body.set(json, 4)
  body.set(args, 4 + json.length)
  return body
}

/** @throws RemoteError `PROTOCOL_ERROR` */
export function splitOpen(body: Uint8Array): { readonly header: OpenHeader; readonly args: Uint8Array } {
  const length = body.length < 4 ? -1 : new DataView(body.buffer, body.byteOffset, 4).getUint32(0, true)
  if (length < 2 || length > OPEN_HEADER_BYTES_MAX || 4 + length > body.length) {
    throw new RemoteError('PROTOCOL_ERROR', 'the header of a call is cut off; the peer does not speak this protocol.')
  }
  return { header: parseOpen(decodeJson(body.subarray(4, 4 + length))), args: body.subarray(4 + length) }
}
