import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { NexmarkGenerator, openMsMax } from './generator.ts'
import { eventLine } from './line.ts'
import { SplittableRandom } from './random.ts'

test('draws are those of java.util.SplittableRandom', () => {
  const random = new SplittableRandom().seed(7)
  expect([random.int32(), random.int32(), random.below(10), random.below(8), random.double()]).toEqual([
    -1629577904, 699215106, 3, 3, 0.45244189501146836,
  ])
})

test('the first 1000 events are those of the patched Java generator, byte for byte', () => {
  const generator = new NexmarkGenerator()
  const hash = createHash('sha256')
  let bytes = 0
  for (let k = 0; k < 1000; k++) {
    const line = Buffer.from(eventLine(generator, k), 'latin1')
    bytes += line.length
    hash.update(line)
  }
  expect(bytes).toBe(196_038)
  expect(hash.digest('hex')).toBe('2dcfac94f3d68a5e4c2e5ccf6dec178e6ac11bec79a2af02cdfdf32b1b7c5c89')
})

test('an event is the same whichever was made before it', () => {
  const inOrder = new NexmarkGenerator()
  const backwards = new NexmarkGenerator()
  const lines = Array.from({ length: 100 }, (_, k) => eventLine(inOrder, k))
  for (let k = 99; k >= 0; k--) expect(eventLine(backwards, k)).toBe(lines[k])
})

test('an event of which less is drawn agrees in what is drawn', () => {
  const all = new NexmarkGenerator()
  const few = new NexmarkGenerator()
  for (let k = 2; k < 48; k++) {
    all.drawBid(k)
    few.drawBid(k, 3)
    const { auction, bidder, price } = all.bid
    expect(few.bid).toMatchObject({ auction, bidder, price })
  }
  for (let k = 48; k < 60; k++) {
    all.drawAuction(k)
    few.drawAuction(k, 4)
    const { seller, category, expires } = all.auction
    expect(few.auction).toMatchObject({ seller, category, expires })
    all.drawPerson(k)
    few.drawPerson(k, 5)
    const { name, city, state } = all.person
    expect(few.person).toMatchObject({ name, city, state })
  }
})

test('auctions are open no longer than is said', () => {
  for (const rate of [1, 10, 10_000, 333_333, 10_000_000]) {
    const generator = new NexmarkGenerator({ rate })
    let longest = 0
    for (let k = 0; k < 20_000; k++) {
      generator.drawAuction(k, 4)
      longest = Math.max(longest, generator.auction.expires - generator.auction.dateTime)
    }
    expect(longest).toBeGreaterThan(0)
    expect(longest).toBeLessThanOrEqual(openMsMax(rate))
  }
})

test('seeds count in all their bits', () => {
  const lines = [0, 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1].map((seed) => {
    return eventLine(new NexmarkGenerator({ seeds: [seed, 3, 7] }), 5)
  })
  expect(new Set(lines).size).toBe(5)
})
