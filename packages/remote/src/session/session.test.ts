/** One end of a link, on a time of the test's own. */
import { SimScheduler } from 'millrace/testing'
import { expect, test } from 'vitest'
import { CLOSE, type Link, type LinkClosed, type LinkEvents } from '../link/link.ts'
import { FRAME, type Frame, FrameWriter, parseFrames } from '../protocol/frame.ts'
import type { Time } from '../time.ts'
import { Session } from './session.ts'

class FakeLink implements Link {
  readonly peer = 'fake'
  bufferedBytes = 0
  readonly sent: Frame[] = []
  state: 'open' | 'closed' | 'destroyed' = 'open'
  isPaused = false
  #events: LinkEvents | undefined

  start(events: LinkEvents): void {
    this.#events = events
  }

  send(message: Uint8Array): void {
    this.sent.push(...parseFrames(message))
  }

  pause(): void {
    this.isPaused = true
  }

  resume(): void {
    this.isPaused = false
  }

  close(): void {
    this.state = 'closed'
  }

  destroy(): void {
    this.state = 'destroyed'
  }

  say(type: Frame['type']): void {
    const writer = new FrameWriter()
    writer.write(type, 0, 0, 0, 0, new Uint8Array(0))
    this.#events?.onMessage(writer.take())
  }
}

function setup(): {
  scheduler: SimScheduler
  link: FakeLink
  session: Session
  closed: LinkClosed[]
  advance(ms: number): Promise<unknown>
} {
  const scheduler = new SimScheduler(1, { isExact: true })
  const time: Time = {
    now: () => scheduler.nowMs,
    after: (ms, fn) => scheduler.after(ms, fn),
    soon: (fn) => scheduler.soon(fn),
    random: () => 0.5,
  }
  const link = new FakeLink()
  const closed: LinkClosed[] = []
  const session = new Session({
    ...{ link, time, pingMs: 2_000, silentMs: 5_000, bufferBytesMax: 1_000 },
    onFrame() {},
    onClose: (why) => void closed.push(why),
  })
  session.start()
  const advance = (ms: number): Promise<unknown> => scheduler.run(() => false, { virtualMs: ms })
  return { scheduler, link, session, closed, advance }
}

test('a silent peer is asked after 2 s and given up after 5 s, not later', async () => {
  const { link, closed, advance } = setup()
  await advance(1_900)
  link.say(FRAME.PONG)
  await advance(4_900)
  expect(link.sent.some(({ type }) => type === FRAME.PING)).toBe(true)
  expect(closed).toEqual([])
  await advance(200)
  expect(closed).toMatchObject([{ code: CLOSE.silent }])
  expect(link.state).toBe('destroyed')
})

test('a process that stood still hears what came meanwhile before it judges its peer', async () => {
  const { scheduler, closed, advance } = setup()
  const { nowMs } = scheduler
  // The timer comes ten seconds late, as after a long computation: what the peer said lies unread.
  Object.defineProperty(scheduler, 'nowMs', { get: () => nowMs + 10_000, configurable: true })
  await advance(2_100)
  expect(closed).toEqual([])
})

test('a peer that we do not read for a while is not silent', async () => {
  const { session, link, closed, advance } = setup()
  session.pause()
  expect(link.isPaused).toBe(true)
  await advance(20_000)
  expect(closed).toEqual([])
  session.resume()
  await advance(5_100)
  expect(closed).toMatchObject([{ code: CLOSE.silent }])
})

test('a peer that takes nothing is cut off, and what waits for it let go', async () => {
  const { session, link, closed, advance } = setup()
  link.bufferedBytes = 1_001
  session.send(FRAME.PING, 0)
  await advance(1)
  expect(closed).toMatchObject([{ code: CLOSE.slowConsumer }])
  expect(link.state).toBe('destroyed')
})
