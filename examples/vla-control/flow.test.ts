import { seededRandom } from 'millrace/testing'
import { describe, expect, test } from 'vitest'
import { rules } from './action-generator.ts'
import { controlTest, kit, START } from './flow-test-kit.ts'

const MOVE = expect.stringMatching(/^move [+-]0\.0/)

describe('the fusion', () => {
  //           0         10        20        30        40
  // sensors   .         .         .         .         .
  // frame                      |23
  // decided                       ^ with the reading of 30, which shows that none of before 23 is missing
  test('a frame meets the reading before it, as soon as a later one shows that there is no better', async () => {
    const loop = await controlTest()
    await loop.until(10)
    await loop.readings(10, 1)
    await loop.readings(20, 2)
    await loop.until(23)
    await loop.frame(23)
    expect(loop.actions()).toEqual([])
    await loop.until(26)
    await loop.readings(30, 3)
    expect(loop.given()).toEqual([{ at: 23, pose: 20, values: { a: 2 }, word: null }])
    loop.test.close()
  })

  test('the values of all sensors come together, each the last one of its sensor', async () => {
    const loop = await controlTest()
    await loop.until(10)
    await loop.readings(10, 1, 2, 3)
    await loop.readings(20, 7)
    await loop.frame(25)
    await loop.readings(30, 0)
    expect(loop.given()).toEqual([{ at: 25, pose: 20, values: { a: 7, b: 2, c: 3 }, word: null }])
    loop.test.close()
  })

  test('an order holds until the next one, and counts for frames from its own time on', async () => {
    const loop = await controlTest()
    await loop.word(5, 'follow')
    await loop.readings(10, 1)
    await loop.until(40)
    await loop.word(40, 'stop')
    await loop.frame(39)
    await loop.frame(41)
    await loop.until(60)
    expect(loop.given().map(({ at, word }) => [at, word])).toEqual([
      [39, 'follow'],
      [41, 'stop'],
    ])
    loop.test.close()
  })

  test('equals a search through everything that had arrived, whatever the delays', async () => {
    for (let seed = 1; seed <= 20; seed++) await checkAgainstOracle(seed)
  })
})

describe('at 3 a.m.', () => {
  test('a late sensor holds a frame for 10 ms and no longer; it is answered with the reading before', async () => {
    const loop = await controlTest()
    await loop.readings(10, 1)
    await loop.until(33)
    await loop.frame(33)
    await loop.until(42)
    expect(loop.actions()).toEqual([])
    await loop.until(43)
    expect(loop.given()).toMatchObject([{ at: 33, pose: 10 }])
    loop.test.close()
  })

  test('sensors that are silent for more than 50 ms are no sensors: the robot holds', async () => {
    const loop = await controlTest({ generator: rules })
    await loop.word(0, 'follow')
    await loop.readings(10, 1)
    await loop.until(60)
    await loop.frame(60)
    await loop.until(93)
    await loop.frame(93)
    await loop.until(110)
    expect(loop.actions().map(({ action }) => action)).toEqual([MOVE, 'hold: no sensors'])
    loop.test.close()
  })

  test('silence does not hold frames back: nobody has spoken, or not for an hour', async () => {
    const loop = await controlTest({ holdAfterMs: 10_000_000 })
    await loop.readings(0, 1)
    await loop.frame(5)
    await loop.readings(10, 2)
    await loop.until(20)
    await loop.word(20, 'follow')
    await loop.until(3_600_000)
    await loop.readings(3_600_000, 3)
    await loop.frame(3_600_005)
    await loop.readings(3_600_010, 4)
    expect(loop.given().map(({ at, word }) => [at, word])).toEqual([
      [5, null],
      [3_600_005, 'follow'],
    ])
    loop.test.close()
  })

  test('a camera that stalls: after 200 ms the robot is told to hold, once; the next frame is answered as ever', async () => {
    const loop = await controlTest({ generator: rules })
    await loop.word(0, 'follow')
    for (let at = 0; at <= 1100; at += 10) {
      await loop.until(at)
      await loop.readings(at, 1)
      if (at === 40 || at === 800) await loop.frame(at - 5)
    }
    expect(loop.actions().map(({ at, action, by }) => [at - START, action, by])).toEqual([
      [35, MOVE, 'rules'],
      [250, 'hold: nothing to act on for 200 ms', 'watchdog'],
      [795, MOVE, 'rules'],
      [1000, 'hold: nothing to act on for 200 ms', 'watchdog'],
    ])
    loop.test.close()
  })

  test('a camera that runs does not set off the watchdog', async () => {
    const loop = await controlTest()
    for (let at = 0; at <= 1000; at += 10) {
      await loop.until(at)
      await loop.readings(at, 1)
      if (at % 150 === 0) await loop.frame(at)
    }
    expect(loop.actions().map(({ by }) => by)).toEqual(Array.from({ length: 7 }, () => 'echo'))
    loop.test.close()
  })

  test('after a stall of more than a second the first frame may be late, and is counted; the next is answered', async () => {
    const loop = await controlTest()
    for (let at = 0; at <= 4000; at += 10) {
      await loop.until(at)
      await loop.readings(at, 1)
      if (at === 40 || at === 3500 || at === 3530) await loop.frame(at - 5)
    }
    expect(loop.given().map(({ at }) => at)).toEqual([35, 3525])
    expect((await loop.test.end()).steps.fuse.late).toBe(1)
  })

  test('a camera that stalls for ten minutes stops no other branch: when it is back, it meets the pose of now', async () => {
    const loop = await controlTest()
    await loop.readings(0, 1)
    await loop.frame(5)
    for (let at = 1000; at <= 600_000; at += 1000) {
      await loop.until(at)
      await loop.readings(at, at)
    }
    await loop.frame(600_005)
    await loop.until(600_100)
    expect(loop.given().at(-1)).toMatchObject({ at: 600_005, pose: 600_000 })
    loop.test.close()
  })

  test('words that are understood late are not lost: they count from the next action on', async () => {
    const loop = await controlTest()
    await loop.word(0, 'follow')
    for (let at = 10; at <= 400; at += 10) {
      await loop.until(at)
      await loop.readings(at, 1)
      if (at % 100 === 50) await loop.frame(at - 1)
      // Said at 130, understood at 330.
      if (at === 330) await loop.word(130, 'stop')
    }
    expect(loop.given().map(({ at, word }) => [at, word])).toEqual([
      [49, 'follow'],
      [149, 'follow'],
      [249, 'follow'],
      [349, 'stop'],
    ])
    loop.test.close()
  })

  test('a late word does not undo an order that was given after it', async () => {
    const loop = await controlTest()
    for (let at = 0; at <= 400; at += 10) {
      await loop.until(at)
      await loop.readings(at, 1)
      if (at === 200) await loop.word(200, 'stop')
      if (at % 100 === 50) await loop.frame(at - 1)
      if (at === 330) await loop.word(130, 'follow')
    }
    expect(loop.given().at(-1)).toMatchObject({ at: 349, word: 'stop' })
    loop.test.close()
  })

  test('a frame in which nothing stands out is not acted on', async () => {
    const loop = await controlTest()
    await loop.readings(0, 1)
    const dark = await loop.darkFrame(5)
    expect(loop.pool.has(dark.frame)).toBe(true)
    await loop.until(100)
    expect(loop.actions()).toEqual([])
    loop.test.close()
  })

  test('a frame whose pixels are gone is counted and skipped; the next one is answered', async () => {
    const loop = await controlTest()
    await loop.readings(0, 1)
    const gone = await loop.darkFrame(1)
    for (let n = 0; n < loop.pool.slots; n++) loop.pool.begin().drop()
    await loop.test.send('vision', [{ ...gone, at: START + 5 }])
    await loop.frame(7)
    await loop.until(30)
    expect(loop.given().map(({ at }) => at)).toEqual([7])
    expect((await loop.test.end()).steps.look.droppedError).toBe(1)
  })

  test('a restart keeps the standing order and the last pose; frames of before are gone and are not waited for', async () => {
    const loop = await controlTest()
    await loop.word(0, 'follow')
    await loop.readings(10, 4)
    await loop.until(30)
    const snapshot = await loop.test.snapshot()
    const after = kit(loop.test.restore(snapshot), loop.pool)
    await after.until(40)
    await after.frame(40)
    await after.until(60)
    expect(after.given()).toEqual([{ at: 40, pose: 10, values: { a: 4 }, word: 'follow' }])
    after.test.close()
  })
})

/**
 * Frames every 33 ms, readings every 10, words now and then, with delays of their own: what each frame is answered with
 * must be what a search through all that had arrived by then finds. Readings arrive at odd and frames at even
 * milliseconds, so that nothing arrives at the moment of a decision.
 */
async function checkAgainstOracle(seed: number): Promise<void> {
  const random = seededRandom(seed)
  const between = (from: number, to: number): number => from + Math.floor(random.next() * (to - from + 1))
  const events: {
    readonly arrives: number
    readonly what: 'frame' | 'reading' | 'word'
    readonly at: number
    readonly text: string
  }[] = []
  let arrives = 0
  for (let at = 0; at < 1000; at += 10) {
    // A burst of delay now and then, once the sensors have been heard.
    arrives = Math.max(arrives, at + (at > 50 && random.next() < 0.1 ? between(5, 45) : between(0, 3))) | 1
    events.push({ arrives, what: 'reading', at, text: '' })
  }
  for (let frame = 1; frame < 30; frame++) {
    const at = frame * 33
    events.push({ arrives: at + 2 * between(0, 1) + (at % 2), what: 'frame', at, text: '' })
    if (random.next() < 0.3) {
      // Between the decision of this frame and the next; said then, or some time before.
      const arrives = at + 18
      const said = random.next() < 0.5 ? arrives : arrives - between(30, 200)
      events.push({ arrives, what: 'word', at: Math.max(0, said), text: `word ${frame}` })
    }
  }
  events.sort((a, b) => a.arrives - b.arrives)
  const loop = await controlTest({ holdAfterMs: 1_000_000 })
  for (const { arrives, what, at, text } of events) {
    await loop.until(arrives)
    if (what === 'frame') await loop.frame(at)
    else if (what === 'reading') await loop.readings(at, at)
    else await loop.word(at, text)
  }
  await loop.until(2000)
  const expected = events
    .filter(({ what }) => what === 'frame')
    .map(({ at, arrives }) => {
      const latest = (what: string, within: number) =>
        events
          .filter((e) => e.what === what && e.arrives <= arrives + 10 && e.at <= at && e.at >= at - within)
          .reduce<(typeof events)[number] | undefined>(
            (best, e) => (best === undefined || e.at >= best.at ? e : best),
            undefined,
          )
      const pose = latest('reading', 50)
      return {
        at,
        pose: pose?.at ?? null,
        values: pose === undefined ? null : { a: pose.at },
        word: latest('word', Number.POSITIVE_INFINITY)?.text ?? null,
      }
    })
  expect(loop.given(), `seed ${seed}`).toEqual(expected)
  loop.test.close()
}
