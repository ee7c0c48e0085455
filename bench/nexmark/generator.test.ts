import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { NexmarkGenerator } from './generator.ts'
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

test('a bid of which less is drawn agrees in what is drawn', () => {
  const generator = new NexmarkGenerator()
  for (let k = 4; k < 40; k++) {
    const { auction, bidder, price } = generator.bid(k)
    generator.drawBid(k, 3)
    expect(generator.draws).toMatchObject({ auction, bidder, price })
    generator.drawBid(k, 1)
    expect(generator.draws.auction).toBe(auction)
  }
})
