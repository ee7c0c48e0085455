/** The contract of links as checks: what WebSocket, NATS, memory and every link that follows is run against. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ContractCheck } from 'millrace/testing'
import { CLOSE, type Link, type LinkClosed } from '../link/link.ts'

/** Both ends of one open connection; neither has been started. */
export interface TransportFixture {
  readonly near: Link
  readonly far: Link
  close?(): Promise<void> | void
}

export interface TransportContractOptions {
  /** A connection of its own for each check. */
  readonly open: () => Promise<TransportFixture> | TransportFixture
  /** How long a close or a loss may take to reach the other end, ms; checks allow for five times as much. Default 1,000. */
  readonly closeWithinMs?: number
  /** How long the messages of a check may take, ms; likewise. Default 4,000. */
  readonly arriveWithinMs?: number
}

const MIB = 1024 * 1024
/** Of the machine, not of the link. */
const SLACK = 5
/** Nothing is to come: long enough for what would have come. */
const QUIET_MS = 50

/**
 * The promises of a link. With vitest: `for (const check of transportContract('memory', options)) test(check.name, check.run)`
 */
export function transportContract(name: string, options: TransportContractOptions): readonly ContractCheck[] {
  const closeMs = (options.closeWithinMs ?? 1_000) * SLACK
  const arriveMs = (options.arriveWithinMs ?? 4_000) * SLACK
  const promise = (text: string, body: (fixture: TransportFixture) => Promise<void>): ContractCheck => ({
    name: `${name}: ${text}`,
    async run() {
      const fixture = await options.open()
      try {
        await body(fixture)
      } finally {
        fixture.near.destroy()
        fixture.far.destroy()
        await fixture.close?.()
      }
    },
  })

  return [
    promise('messages arrive in order, each once, both ways at the same time', async ({ near, far }) => {
      const atNear = listen(near)
      const atFar = listen(far)
      for (let i = 0; i < 2_000; i++) {
        near.send(numbered(i, i % 64))
        far.send(numbered(i, 63 - (i % 64)))
        if (i % 100 === 0) await sleep(0)
      }
      await until(
        '2,000 messages at each end',
        () => atNear.messages.length >= 2_000 && atFar.messages.length >= 2_000,
        arriveMs,
      )
      await sleep(QUIET_MS)
      const expected = Array.from({ length: 2_000 }, (_, i) => i)
      deepStrictEqual(atFar.messages.map(numberOf), expected)
      deepStrictEqual(atNear.messages.map(numberOf), expected)
    }),

    promise('messages arrive whole, whatever their length, and are not joined', async ({ near, far }) => {
      const atFar = listen(far)
      listen(near)
      const sizes = [4, 5, 125, 126, 127, 65_535, 65_536, 65_537, 192 * 1024]
      for (const [i, size] of sizes.entries()) near.send(numbered(i, size))
      await until('all sizes', () => atFar.messages.length >= sizes.length, arriveMs)
      deepStrictEqual(
        atFar.messages.map((message) => message.length),
        sizes,
      )
      for (const [i, message] of atFar.messages.entries()) ok(isIntact(message, i), `${sizes[i]} bytes are intact`)
    }),

    promise('64 MiB in messages of 64 KiB arrive', async ({ near, far }) => {
      const atFar = listen(far, { keeps: false })
      listen(near)
      const count = 1024
      for (let i = 0; i < count; i++) {
        near.send(numbered(i, 64 * 1024))
        while (near.bufferedBytes > 4 * MIB) await sleep(1)
      }
      await until('64 MiB', () => atFar.count === count, arriveMs)
      strictEqual(atFar.bytes, count * 64 * 1024)
    }),

    promise('nothing is delivered before start', async ({ near, far }) => {
      listen(near)
      near.send(numbered(0, 8))
      near.send(numbered(1, 8))
      await sleep(QUIET_MS)
      const atFar = listen(far)
      await until('both messages', () => atFar.messages.length >= 2, arriveMs)
      deepStrictEqual(atFar.messages.map(numberOf), [0, 1])
    }),

    promise('a pause holds messages back, at the sender too, until it ends', async ({ near, far }) => {
      const atFar = listen(far, { keeps: false })
      listen(near)
      near.send(numbered(0, 8))
      await until('the first message', () => atFar.count === 1, arriveMs)
      far.pause()
      await sleep(QUIET_MS)
      const before = atFar.count
      // Well above what kernels hold on the way.
      const count = 1_024
      for (let i = 1; i <= count; i++) near.send(numbered(i, 64 * 1024))
      await sleep(QUIET_MS)
      // What was read before the pause may still come out.
      ok(atFar.bytes - 8 < 8 * MIB, `${atFar.bytes} bytes were delivered in spite of the pause`)
      ok(before === 1, 'nothing came twice')
      ok(near.bufferedBytes > 16 * MIB, `the sender sees that nobody reads: ${near.bufferedBytes} bytes wait`)
      far.resume()
      await until('everything after the pause', () => atFar.count === count + 1, arriveMs)
      await until('nothing waits any more', () => near.bufferedBytes === 0, arriveMs)
    }),

    promise('closing says why at the other end, once at each, behind what was sent', async ({ near, far }) => {
      const atNear = listen(near)
      const atFar = listen(far)
      for (let i = 0; i < 100; i++) near.send(numbered(i, 1024))
      near.close(CLOSE.fenced, 'FENCED')
      near.close(CLOSE.normal, 'again')
      await until('closed at both ends', () => atNear.closed.length > 0 && atFar.closed.length > 0, closeMs)
      await sleep(QUIET_MS)
      strictEqual(atFar.messages.length, 100)
      strictEqual(atNear.closed.length, 1, 'the near end is told once')
      strictEqual(atFar.closed.length, 1, 'the far end is told once')
      deepStrictEqual(atFar.closed[0], { code: CLOSE.fenced, reason: 'FENCED' })
    }),

    promise('when both ends close at once each is told once', async ({ near, far }) => {
      const atNear = listen(near)
      const atFar = listen(far)
      near.close(CLOSE.normal, 'near')
      far.close(CLOSE.normal, 'far')
      await until('closed at both ends', () => atNear.closed.length > 0 && atFar.closed.length > 0, closeMs)
      await sleep(QUIET_MS)
      deepStrictEqual([atNear.closed.length, atFar.closed.length], [1, 1])
    }),

    promise('an end that is destroyed leaves no half-open link', async ({ near, far }) => {
      const atNear = listen(near)
      const atFar = listen(far)
      near.send(numbered(0, 8))
      await until('the first message', () => atFar.messages.length === 1, arriveMs)
      near.destroy()
      near.destroy()
      await until('closed at both ends', () => atNear.closed.length > 0 && atFar.closed.length > 0, closeMs)
      await sleep(QUIET_MS)
      deepStrictEqual([atNear.closed.length, atFar.closed.length], [1, 1])
    }),

    promise('an end that is destroyed while its peer reads nothing is closed at once', async ({ near, far }) => {
      const atNear = listen(near)
      listen(far)
      far.pause()
      for (let i = 0; i < 256; i++) near.send(numbered(i, 64 * 1024))
      near.destroy()
      await until('closed at the near end', () => atNear.closed.length === 1, closeMs)
    }),

    promise('after the close nothing is delivered, and sending is ignored', async ({ near, far }) => {
      const atNear = listen(near)
      const atFar = listen(far)
      far.close(CLOSE.normal, '')
      await until('closed at both ends', () => atNear.closed.length > 0 && atFar.closed.length > 0, closeMs)
      near.send(numbered(0, 8))
      far.send(numbered(0, 8))
      await sleep(QUIET_MS)
      deepStrictEqual([atNear.messages.length, atFar.messages.length], [0, 0])
    }),

    promise('a link that closed before it was started says so when it is', async ({ near, far }) => {
      const atNear = listen(near)
      near.destroy()
      await until('closed at the near end', () => atNear.closed.length > 0, closeMs)
      await sleep(QUIET_MS)
      const atFar = listen(far)
      await until('closed at the far end', () => atFar.closed.length > 0, closeMs)
      strictEqual(atFar.closed.length, 1)
    }),
  ]
}

interface Heard {
  readonly messages: Uint8Array[]
  readonly closed: LinkClosed[]
  count: number
  bytes: number
}

function listen(link: Link, { keeps = true }: { readonly keeps?: boolean } = {}): Heard {
  const heard: Heard = { messages: [], closed: [], count: 0, bytes: 0 }
  link.start({
    onMessage(message) {
      ok(heard.closed.length === 0, 'a message came after the close')
      // A copy: the bytes are the link's again when this returns.
      if (keeps) heard.messages.push(message.slice())
      heard.count++
      heard.bytes += message.length
    },
    onClose: (closed) => void heard.closed.push(closed),
  })
  return heard
}

/** A message of `size` bytes, at least 4, with its number and a pattern in it. */
function numbered(n: number, size: number): Uint8Array {
  const message = new Uint8Array(Math.max(4, size))
  for (let i = 4; i < message.length; i++) message[i] = (n + i) & 255
  new DataView(message.buffer).setUint32(0, n, true)
  return message
}

function numberOf(message: Uint8Array): number {
  return new DataView(message.buffer, message.byteOffset).getUint32(0, true)
}

function isIntact(message: Uint8Array, n: number): boolean {
  for (let i = 4; i < message.length; i++) if (message[i] !== ((n + i) & 255)) return false
  return numberOf(message) === n
}

async function until(what: string, isDone: () => boolean, withinMs: number): Promise<void> {
  for (let waitedMs = 0; !isDone(); waitedMs += 2) {
    ok(waitedMs < withinMs, `${what}: not within ${withinMs} ms`)
    await sleep(2)
  }
}
