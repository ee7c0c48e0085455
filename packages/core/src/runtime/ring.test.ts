import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { crc32 } from '../batch/bytes.ts'
import { cases } from '../testing/cases.ts'
import { Doorbell } from './doorbell.ts'
import type { Scheduler } from './ports.ts'
import { createRing, RingReader, RingWriter, ringLevel } from './ring.ts'

const scheduler: Scheduler = {
  after(ms, fn) {
    const timer = setTimeout(fn, ms)
    return () => clearTimeout(timer)
  },
  soon: setImmediate,
}

/** Bytes that differ from frame to frame. */
function frame(n: number, length: number): Uint8Array {
  return new Uint8Array(length).map((_, i) => (n * 31 + i * 7) & 255)
}

describe('ring', () => {
  test('frames come out as they went in, in order, whatever their sizes and the interleaving', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.constant(-1), fc.nat(300), fc.integer({ min: 400, max: 6000 })), { maxLength: 120 }),
        (actions) => {
          const memory = createRing(1024)
          const writer = new RingWriter(memory)
          const reader = new RingReader(memory)
          const sent: Uint8Array[] = []
          const got: Uint8Array[] = []
          const read = () => {
            const bytes = reader.tryRead()
            if (bytes !== undefined) got.push(bytes.slice())
            return bytes !== undefined
          }
          for (const action of actions) {
            if (action === -1) {
              read()
              writer.pump()
              continue
            }
            const bytes = frame(sent.length, action)
            const half = action >> 1
            if (writer.tryWrite([bytes.subarray(0, half), bytes.subarray(half)], 3)) sent.push(bytes)
          }
          while (read() || writer.hasRest) writer.pump()
          expect(got).toEqual(sent)
          expect(ringLevel(memory)).toEqual({ bytes: 0, capacity: 1024, records: 0 })
        },
      ),
      { numRuns: cases(150) },
    )
  })

  test('a frame of any size is taken by an empty ring, wherever its end lies', () => {
    const memory = createRing(1024)
    const writer = new RingWriter(memory)
    const reader = new RingReader(memory)
    for (let length = 0; length <= 504; length += 8) {
      expect(writer.tryWrite([frame(1, length)])).toBe(true)
      expect(writer.hasRest).toBe(false)
      expect(reader.tryRead()).toHaveLength(length)
      reader.release()
    }
  })

  test('a full ring takes nothing and rings the writer when it is half empty', () => {
    const memory = createRing(1024)
    const bell = new Doorbell(Doorbell.memory(1))
    const writer = new RingWriter(memory)
    const reader = new RingReader(memory, bell)
    let frames = 0
    while (writer.tryWrite([frame(frames, 92)], 10)) frames++
    expect(frames).toBe(9)
    expect(ringLevel(memory)).toEqual({ bytes: 936, capacity: 1024, records: 90 })
    let read = 0
    while (bell.current() === 0) {
      reader.tryRead()
      reader.release()
      read++
    }
    expect(read).toBe(5)
    expect(writer.tryWrite([frame(0, 100)])).toBe(true)
  })

  test('two threads exchange frames of random sizes without loss, damage or change of order', async () => {
    const total = cases(100_000)
    const memory = createRing(64 * 1024)
    const bells = Doorbell.memory(2)
    // The writer waits for room on bell 1, and rings bell 0 once per 32 frames.
    const code = `
      const { workerData: { memory, bells, total, ring, doorbell, bytes } } = require('node:worker_threads')
      const after = (ms, fn) => { const t = setTimeout(fn, ms); return () => clearTimeout(t) }
      ;(async () => {
        const { RingWriter } = await import(ring)
        const { Doorbell } = await import(doorbell)
        const { crc32 } = await import(bytes)
        const mine = new Doorbell(bells, 1, { after }), theirs = new Doorbell(bells, 0)
        const writer = new RingWriter(memory)
        let seed = 7
        const random = () => (seed = (Math.imul(seed, 1103515245) + 12345) >>> 0) / 2 ** 32
        const pool = new Uint8Array(200_000).map(() => random() * 256)
        for (let n = 0; n < total; n++) {
          const size = random() < 0.001 ? random() * 200_000 : random() < 0.1 ? random() * 4000 : random() * 100
          const data = pool.subarray(0, size)
          const head = new Uint8Array(new Uint32Array([n, crc32(data, n)]).buffer)
          for (;;) {
            const seen = mine.current()
            if (writer.tryWrite([head, data], 1)) break
            theirs.ring()
            await mine.wait(seen, 10_000)
          }
          if (n % 32 === 0) theirs.ring()
        }
        for (;;) {
          const seen = mine.current()
          const isDone = writer.pump()
          theirs.ring()
          if (isDone) break
          await mine.wait(seen, 10_000)
        }
      })()
    `
    const module = (name: string) => new URL(name, import.meta.url).href
    const workerData = {
      memory,
      bells,
      total,
      ring: module('./ring.ts'),
      doorbell: module('./doorbell.ts'),
      bytes: module('../batch/bytes.ts'),
    }
    const worker = new Worker(code, { eval: true, workerData })
    const failed = new Promise<never>((_, reject) => worker.on('error', reject))
    const bell = new Doorbell(bells, 0, scheduler)
    const reader = new RingReader(memory, new Doorbell(bells, 1))
    const started = performance.now()
    let count = 0
    let bytes = 0
    while (count < total) {
      const seen = bell.current()
      const got = reader.tryRead()
      if (got === undefined) {
        await Promise.race([bell.wait(seen, 10_000), failed])
        expect(performance.now() - started).toBeLessThan(60_000)
        continue
      }
      const head = new Uint32Array(got.slice(0, 8).buffer)
      if (head[0] !== count || head[1] !== crc32(got.subarray(8), count)) throw new Error(`frame ${count} is damaged`)
      count++
      bytes += got.length
    }
    reader.release()
    expect(ringLevel(memory)).toMatchObject({ bytes: 0, records: 0 })
    expect(bytes).toBeGreaterThan(total * 100)
    await worker.terminate()
  }, 90_000)
})

describe('doorbell', () => {
  test('a ring between looking and waiting ends the wait at once', async () => {
    const memory = Doorbell.memory(1)
    const bell = new Doorbell(memory, 0, scheduler)
    const seen = bell.current()
    new Doorbell(memory).ring()
    const started = performance.now()
    await bell.wait(seen, 5000)
    expect(performance.now() - started).toBeLessThan(1000)
  })

  test('a ring during the wait ends it', async () => {
    const bell = new Doorbell(Doorbell.memory(3), 2, scheduler)
    const waiting = bell.wait(bell.current(), 10_000)
    bell.ring()
    await waiting
    expect(bell.current()).toBe(1)
  })

  test('a wait without a ring ends after its time', async () => {
    const bell = new Doorbell(Doorbell.memory(1), 0, scheduler)
    const started = performance.now()
    await bell.wait(bell.current(), 30)
    expect(performance.now() - started).toBeGreaterThan(25)
  })
})
