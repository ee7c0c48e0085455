import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { CanonicalKey } from '../batch/key.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import { cases } from '../testing/cases.ts'
import { openOperator } from '../testing/operator-host.ts'
import { TimerService } from './timers.ts'

type Command =
  | { readonly set: number; readonly tag?: string }
  | { readonly delete: number; readonly tag?: string }
  | { readonly clock: number }

/** Rows are commands; what fires comes out as 'time/tag'. `onFire` may set more. */
function timerOperator(
  onFire: (timers: TimerService, key: CanonicalKey, time: number, tag: string) => void = () => {},
) {
  return (ctx: OperatorContext): Operator => {
    const timers = new TimerService(ctx)
    const fire = (key: CanonicalKey, time: number, tag: string): void => {
      ctx.out.emit(`${time}/${tag}`, time, key)
      onFire(timers, key, time, tag)
    }
    return {
      process(batch) {
        for (let i = 0; i < batch.length; i++) {
          const command = batch.keep(i) as Command
          const key = batch.keys?.[i] as CanonicalKey
          if ('set' in command) timers.event.set(key, command.set, command.tag)
          else if ('delete' in command) timers.event.delete(key, command.delete, command.tag)
          else timers.setProcessing(key, command.clock)
        }
      },
      watermark: (time) => timers.watermark(time, fire),
      wake: (now) => timers.wake(now, fire),
    }
  }
}

const fired = (host: ReturnType<typeof openOperator>) =>
  host.take().map((out) => `${String(out.key)} ${String(out.row)}`)

describe('event timers', () => {
  test('fire when the watermark reaches them, in time order over all keys', () => {
    const host = openOperator(timerOperator())
    host.send([
      [0, { set: 300 }, 'a'],
      [0, { set: 100 }, 'b'],
      [0, { set: 200 }, 'a'],
    ])
    host.watermark(99)
    expect(fired(host)).toEqual([])
    host.watermark(200)
    expect(fired(host)).toEqual(['b 100/', 'a 200/'])
    host.watermark(1_000)
    expect(fired(host)).toEqual(['a 300/'])
  })

  test('one set twice fires once, and a tag makes another one', () => {
    const host = openOperator(timerOperator())
    host.send([
      [0, { set: 100 }, 'a'],
      [0, { set: 100 }, 'a'],
      [0, { set: 100, tag: 'x' }, 'a'],
    ])
    host.watermark(100)
    expect(fired(host)).toEqual(['a 100/', 'a 100/x'])
  })

  test('a deleted one does not fire, its neighbours do', () => {
    const host = openOperator(timerOperator())
    host.send([
      [0, { set: 100 }, 'a'],
      [0, { set: 100, tag: 'x' }, 'a'],
      [0, { set: 100 }, 'b'],
      [0, { delete: 100 }, 'a'],
      [0, { delete: 100 }, 'b'],
    ])
    host.watermark(100)
    expect(fired(host)).toEqual(['a 100/x'])
  })

  test('a fraction of a millisecond is rounded up', () => {
    const host = openOperator(timerOperator())
    host.send([[0, { set: 99.5 }, 'a']])
    host.watermark(99.9)
    expect(fired(host)).toEqual([])
    host.watermark(100)
    expect(fired(host)).toEqual(['a 100/'])
  })

  test('one set while firing, for a time the watermark has passed, fires in the same call', () => {
    const host = openOperator(timerOperator((timers, key, time) => timers.event.set(key, time + 10)))
    host.send([[0, { set: 100 }, 'a']])
    host.watermark(125)
    expect(fired(host)).toEqual(['a 100/', 'a 110/', 'a 120/'])
  })

  test('one that sets its successor ends at the end of input', () => {
    const host = openOperator(timerOperator((timers, key, time) => timers.event.set(key, time + 10)))
    host.send([
      [0, { set: 100 }, 'a'],
      [0, { set: 115 }, 'b'],
    ])
    host.end()
    expect(fired(host)).toEqual(['a 100/', 'a 110/', 'b 115/'])
  })

  test('one that sets itself for the same time is refused', () => {
    const host = openOperator(timerOperator((timers, key, time) => timers.event.set(key, time)))
    host.send([[0, { set: 100 }, 'a']])
    expect(() => host.watermark(100)).toThrow(/onTimer sets it again for the same time/)
  })

  test('a time that is not finite is refused', () => {
    const host = openOperator(timerOperator())
    expect(() => host.send([[0, { set: Number.POSITIVE_INFINITY }, 'a']])).toThrow(/finite number of ms/)
  })
})

describe('processing timers', () => {
  test('fire when the clock reaches them, also those of a restored step', () => {
    const host = openOperator(timerOperator(), { now: 1_000 })
    host.send([
      [0, { clock: 1_500 }, 'a'],
      [0, { clock: 3_000 }, 'b'],
    ])
    host.advance(600)
    expect(fired(host)).toEqual(['a 1500/'])
    const restored = host.restore(host.snapshot())
    restored.advance(1_399)
    expect(fired(restored)).toEqual([])
    restored.advance(1)
    expect(fired(restored)).toEqual(['b 3000/'])
  })
})

test('any timers, set and deleted in any order with restarts between, fire as a sorted list does', () => {
  const command = fc.record({
    key: fc.constantFrom('a', 'b', 'c'),
    time: fc.integer({ min: 1, max: 30 }),
    tag: fc.constantFrom('', 'x'),
    kind: fc.constantFrom('set', 'set', 'delete', 'watermark', 'restart'),
  })
  fc.assert(
    fc.property(fc.array(command, { maxLength: 40 }), (commands) => {
      let host = openOperator(timerOperator())
      const model = new Map<string, { time: number; line: string }>()
      let watermark = 0
      const fire = (until: number): void => {
        const due = [...model].filter(([, timer]) => timer.time <= until)
        for (const [name] of due) model.delete(name)
        expect(fired(host).sort()).toEqual(due.map(([, timer]) => timer.line).sort())
      }
      for (const { key, time, tag, kind } of commands) {
        const name = `${key} ${time}/${tag}`
        if (kind === 'restart') host = host.restore(host.snapshot())
        else if (kind === 'watermark') {
          watermark += time / 4
          host.watermark(watermark)
          fire(watermark)
        } else {
          host.send([[0, { [kind]: time, tag }, key]])
          if (kind === 'set') model.set(name, { time, line: name })
          else model.delete(name)
        }
      }
      host.end()
      fire(Number.POSITIVE_INFINITY)
    }),
    { numRuns: cases(100) },
  )
})
