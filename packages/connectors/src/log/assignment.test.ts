import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { assign } from './assignment.ts'
import { checkFileSystem } from './folder.ts'
import { murmur2 } from './murmur2.ts'

const topic = (name: string, ...partitions: number[]) => ({ topic: name, partitions })
const member = (name: string, ...topics: string[]) => ({ member: name, topics })

describe('partitions are dealt to members', () => {
  test('range gives runs of each topic, the first members one more', () => {
    const dealt = assign([member('b', 't', 'u'), member('a', 't', 'u')], [topic('t', 1, 2, 3), topic('u', 4)], 'range')
    expect([...dealt]).toEqual([
      [1, 'a'],
      [2, 'a'],
      [3, 'b'],
      [4, 'a'],
    ])
  })

  test('roundRobin goes on over the topics', () => {
    const dealt = assign(
      [member('a', 't', 'u'), member('b', 't', 'u')],
      [topic('u', 4), topic('t', 1, 2, 3)],
      'roundRobin',
    )
    expect([...dealt]).toEqual([
      [1, 'a'],
      [2, 'b'],
      [3, 'a'],
      [4, 'b'],
    ])
  })

  test('every partition that somebody wants has one member that wants it, and shares differ by one at most', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 6 }),
        fc.integer({ min: 1, max: 20 }),
        fc.boolean(),
        (members, count, range) => {
          const names = Array.from({ length: members }, (_, i) => member(`m${i}`, 't'))
          const ids = Array.from({ length: count }, (_, i) => i + 1)
          const dealt = assign(names, [topic('t', ...ids)], range ? 'range' : 'roundRobin')
          expect([...dealt.keys()]).toEqual(members === 0 ? [] : ids)
          const shares = names.map((m) => [...dealt.values()].filter((each) => each === m.member).length)
          expect(Math.max(0, ...shares) - Math.min(count, ...shares)).toBeLessThanOrEqual(1)
          const reversed = assign([...names].reverse(), [topic('t', ...ids)], range ? 'range' : 'roundRobin')
          expect([...reversed]).toEqual([...dealt])
        },
      ),
      { numRuns: 50 },
    )
  })
})

test('murmur2 gives what the Java client gives', () => {
  const known = {
    '21': -973932308,
    foobar: -790332482,
    'a-little-bit-long-string': -985981536,
    'a-little-bit-longer-string': -1486304829,
    lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58897971,
    abc: 479470107,
  }
  for (const [text, hash] of Object.entries(known)) expect(murmur2(Buffer.from(text)), text).toBe(hash)
})

test('a folder on a network file system is refused by name', () => {
  expect(() => checkFileSystem('/mnt', 0x6969)).toThrow('nfs')
  expect(() => checkFileSystem('/mnt', 0xff534d42)).toThrow('cifs')
  expect(() => checkFileSystem('/', 0xef53)).not.toThrow()
})
