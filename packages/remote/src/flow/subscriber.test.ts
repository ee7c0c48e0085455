import { describe, expect, test } from 'vitest'
import { type SlowPolicy, Subscriber } from './subscriber.ts'

function box(policy: SlowPolicy, replay: readonly number[] = []) {
  let lost = 0
  let left = 0
  const subscriber = new Subscriber<number>(
    policy,
    3,
    replay,
    (count) => (lost += count),
    () => left++,
  )
  const put = (...rows: number[]): void => rows.forEach((row) => void subscriber.put(row))
  return { subscriber, put, lost: () => lost, left: () => left }
}

async function take(subscriber: Subscriber<number>, count: number): Promise<number[]> {
  const rows: number[] = []
  while (rows.length < count) {
    const step = await subscriber.next()
    if (step.done === true) break
    rows.push(step.value)
  }
  return rows
}

describe('a subscriber that is too slow', () => {
  test("misses the oldest rows under 'drop-oldest', and each is counted", async () => {
    const { subscriber, put, lost } = box('drop-oldest')
    put(1, 2, 3, 4, 5)
    expect(await take(subscriber, 3)).toEqual([3, 4, 5])
    expect(lost()).toBe(2)
  })

  test("misses the newest rows under 'drop-newest', and each is counted", async () => {
    const { subscriber, put, lost } = box('drop-newest')
    put(1, 2, 3, 4, 5)
    expect(await take(subscriber, 3)).toEqual([1, 2, 3])
    expect(lost()).toBe(2)
    put(6)
    expect(await take(subscriber, 1)).toEqual([6])
  })

  test("is told under 'disconnect', and what waited for it is counted with the row that was too many", async () => {
    const { subscriber, put, lost } = box('disconnect')
    put(1, 2, 3, 4, 5)
    await expect(subscriber.next()).rejects.toMatchObject({ code: 'RESOURCE_EXHAUSTED' })
    expect(lost()).toBe(4)
  })

  test("holds the writer back under 'block', and misses nothing", async () => {
    const { subscriber, put, lost } = box('block')
    put(1, 2)
    expect(subscriber.room()).toBeUndefined()
    put(3, 4)
    let hasRoom = false
    const room = subscriber.room()?.then(() => {
      hasRoom = true
    })
    await take(subscriber, 1)
    await Promise.resolve()
    expect(hasRoom).toBe(false)
    await take(subscriber, 1)
    await room
    expect(await take(subscriber, 2)).toEqual([3, 4])
    expect(lost()).toBe(0)
  })
})

test('a writer that waits goes on when the subscriber leaves, and nothing is counted as missed', async () => {
  const { subscriber, put, lost, left } = box('block')
  put(1, 2, 3)
  const room = subscriber.room()
  const empty = subscriber.empty()
  await subscriber.return()
  await Promise.all([room, empty])
  expect([lost(), left()]).toEqual([0, 1])
  expect(await subscriber.next()).toEqual({ done: true, value: undefined })
})

test('a row goes to whoever waits for it; the end comes after what waits', async () => {
  const { subscriber, put } = box('drop-oldest', [7])
  expect(await take(subscriber, 1)).toEqual([7])
  const next = subscriber.next()
  put(8, 9)
  subscriber.end()
  put(10)
  expect(await next).toEqual({ done: false, value: 8 })
  expect(await take(subscriber, 5)).toEqual([9])
})
