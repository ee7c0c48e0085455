/** Messages that no peer of this protocol sends, and some that one could, drawn from a seed. */
import type { SeededRandom } from 'millrace/testing'
import { encode, encodeJson } from '../../src/protocol/codec.ts'
import { creditBody, FLAG_MORE, FRAME, type FrameType, FrameWriter, HEADER_BYTES } from '../../src/protocol/frame.ts'

/** One message to send; `isBroken`: it is made of no whole frames, and must end the link. */
export interface HostileMessage {
  readonly bytes: Uint8Array
  readonly isBroken: boolean
}

export type HostileRole = 'client' | 'node' | 'gateway'

/** `calls` are numbers that mean something to the other end. */
export function hostileMessage(random: SeededRandom, role: HostileRole, calls: readonly number[]): HostileMessage {
  const draw = random.int(10)
  if (draw === 0) return { bytes: noise(random, random.pick([1, 15, 16, 17, 1024, 70_000])), isBroken: false }
  const bytes = frames(random, role, calls)
  if (draw === 1) return { bytes: bytes.subarray(0, 1 + random.int(HEADER_BYTES - 1)), isBroken: true }
  if (draw === 2)
    return { bytes: withLength(bytes, random.pick([0xffff_ffff, 0x8000_0000, bytes.length + 1])), isBroken: true }
  if (draw === 3) {
    for (let i = random.between(1, 8); i > 0; i--) bytes[random.int(bytes.length)] ^= 1 << random.int(8)
    return { bytes, isBroken: false }
  }
  if (draw === 4) {
    bytes[0] = random.pick([0, 19, 127, 255])
    return { bytes, isBroken: true }
  }
  return { bytes, isBroken: false }
}

function frames(random: SeededRandom, role: HostileRole, calls: readonly number[]): Uint8Array {
  const writer = new FrameWriter()
  for (let i = random.between(1, 3); i > 0; i--) {
    const type = random.between(FRAME.HELLO, FRAME.QUEUED) as FrameType
    const call = random.chance(0.7) ? random.pick(calls) : random.pick([0, 1, 2, 3, 0xffff_ffff, random.int(1000)])
    const stream = random.pick([0, 0, 0, 1, 2, 64, 0xffff])
    const count = random.pick([0, 1, 1, 256, 257, 0xffff_ffff])
    writer.write(type, call, stream, count, random.chance(0.2) ? FLAG_MORE : 0, body(random, type, role))
  }
  return writer.take()
}

function body(random: SeededRandom, type: FrameType, role: HostileRole): Uint8Array {
  if (random.chance(0.25)) return random.pick(EVIL)()
  if (random.chance(0.1)) return noise(random, random.pick([0, 1, 3, 4, 5, 100, 65_536]))
  switch (type) {
    case FRAME.OPEN:
      return openOf(random)
    case FRAME.CREDIT:
      return creditBody(random.pick([0, 1, 1024, 0xffff_ffff]))
    case FRAME.HELLO:
      return encodeJson({
        version: 1,
        role: random.pick(['client', 'node', 'alive', 'king']),
        id: random.pick(['bad', '']),
      })
    case FRAME.WELCOME:
      return encodeJson({ version: 1, session: 's', secret: 's', pingMs: random.pick([-1, 0, 1e9]), silentMs: 0 })
    case FRAME.OFFER:
      return encodeJson({ functions: [{ name: random.pick(['echo', '__proto__', 'evil', 'a b']), kind: 'call' }] })
    case FRAME.ERROR:
      return encodeJson({
        code: random.pick(['USER_ERROR', 'FENCED', '__proto__']),
        message: 'm',
        cause: { cause: {} },
      })
    case FRAME.ITEMS:
      return encode(random.pick<unknown>([[1], [1, 2], {}, 'no list', []]))
    case FRAME.RELEASE:
      return encodeJson({ id: random.pick<unknown>(['anyone x', 'x', 7, null, {}]) })
    default:
      return encode(random.pick<unknown>([1, [1], 'text', { a: role }]))
  }
}

function openOf(random: SeededRandom): Uint8Array {
  const header: Record<string, unknown> = {
    fn: random.pick<unknown>(['echo', 'count', 'nope', '$nodes', '__proto__', 7, 'x'.repeat(5000)]),
    mode: random.pick<unknown>(['call', 'stream', 'both']),
    credit: random.pick<unknown>([
      { items: 4, bytes: 1000 },
      { items: 0, bytes: 0 },
      { items: 0xffff_ffff, bytes: 0xffff_ffff },
      { items: -1, bytes: 1.5 },
      null,
    ]),
  }
  const more: Record<string, () => unknown> = {
    deadlineMs: () => random.pick<unknown>([-1, 0, 1e300, 'soon']),
    streams: () => random.pick<unknown>([[0], [5], [0xffff_ffff], [-1], 'all']),
    where: () =>
      random.pick<unknown>([
        { gpu: true },
        { a: {} },
        Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`t${i}`, 1])),
      ]),
    resume: () =>
      random.pick<unknown>([
        { id: 'x', after: 0 },
        { id: 'x', after: 2 ** 40, isAgain: true },
        { id: '', after: -1 },
      ]),
    key: () => 'k'.repeat(random.pick([1, 5000])),
  }
  for (const [name, value] of Object.entries(more)) if (random.chance(0.25)) header[name] = value()
  const json = encodeJson(header)
  const args = random.pick([encode([1]), encode([]), encode('no list'), new Uint8Array([9, 9]), new Uint8Array(0)])
  const out = new Uint8Array(4 + json.length + args.length)
  const length = random.chance(0.8) ? json.length : random.pick([0, 1, json.length + 1_000_000, 0xffff_ffff])
  new DataView(out.buffer).setUint32(0, length, true)
  out.set(json, 4)
  out.set(args, 4 + json.length)
  return out
}

/** JSON that is deep, or would reach prototypes; text that is none. */
const EVIL: readonly (() => Uint8Array)[] = [
  () => new TextEncoder().encode(`${'['.repeat(30_000)}${']'.repeat(30_000)}`),
  () => new TextEncoder().encode(`${'{"a":'.repeat(9_000)}1${'}'.repeat(9_000)}`),
  () => new TextEncoder().encode('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'),
  () => tagged('["$",[]]'),
  () => tagged('[{"$":"object","v":{"__proto__":{"polluted":true}}},[]]'),
  () => tagged('[{"$":"Float64Array","v":0},[3]]'),
  () => tagged('[{"$":"bigint","v":"x"},[]]'),
  () => tagged(`[${'['.repeat(20_000)}${']'.repeat(20_000)},[]]`),
  () => new Uint8Array([0xff, 0xfe, 0xfd]),
]

function tagged(json: string): Uint8Array {
  const text = new TextEncoder().encode(json)
  const out = new Uint8Array(5 + text.length + 3)
  out[0] = 2
  new DataView(out.buffer).setUint32(1, text.length, true)
  out.set(text, 5)
  return out
}

function noise(random: SeededRandom, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random.int(256))
}

function withLength(message: Uint8Array, length: number): Uint8Array {
  new DataView(message.buffer, message.byteOffset).setUint32(12, length, true)
  return message
}
