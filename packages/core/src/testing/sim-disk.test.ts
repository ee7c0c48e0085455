import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Disk } from '../runtime/ports.ts'
import { cases } from './cases.ts'
import { type CrashKind, SimDisk } from './sim-disk.ts'
import { type DiskFault, type DiskWrite, simDiskPort } from './sim-disk-port.ts'
import { seededRandom } from './sim-random.ts'
import { SimScheduler } from './sim-scheduler.ts'

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (content: Uint8Array | undefined) => content && new TextDecoder().decode(content)

/** Runs `work` on a fresh disk until it ends or a fault crashes it. */
async function run(
  seed: number,
  work: (disk: Disk) => Promise<void>,
  fault?: (write: DiskWrite) => DiskFault | undefined,
  start?: (disk: SimDisk) => void,
) {
  const random = seededRandom(seed)
  const scheduler = new SimScheduler(seed)
  const disk = new SimDisk(random.fork('disk'))
  disk.makeFolder('/d')
  start?.(disk)
  const crashes: [CrashKind, string][] = []
  const writes: string[] = []
  const port = simDiskPort({
    disk,
    process: scheduler.process('p'),
    random: random.fork('port'),
    root: '/d',
    ...(fault === undefined ? {} : { fault }),
    onCrash: (kind, write) => crashes.push([kind, write.site]),
    onWrite: (write) => writes.push(write.site),
  })
  let error: unknown
  let isDone = false
  work(port)
    .catch((thrown: unknown) => {
      error = thrown
    })
    .finally(() => {
      isDone = true
    })
  await scheduler.run(() => isDone || crashes.length > 0)
  return { disk, scheduler, crashes, writes, error, isDone }
}

async function writeFile(disk: Disk, path: string, content: string, sync = true): Promise<void> {
  const file = await disk.open(path, 'create')
  await file.append(bytes(content))
  if (sync) await file.sync()
  await file.close()
}

test('what was synced, name and content, survives every power loss', async () => {
  for (let seed = 0; seed < 50; seed++) {
    const { disk } = await run(seed, async (d) => {
      await writeFile(d, '/d/a1', 'hello')
      await d.syncFolder('/d')
    })
    expect(text(disk.crash('power').bytes('/d/a1'))).toBe('hello')
  }
})

test('content that was not synced may be lost, cut, torn or kept', async () => {
  const found = new Set<string>()
  for (let seed = 0; seed < 200; seed++) {
    const { disk } = await run(seed, async (d) => {
      await writeFile(d, '/d/a', 'ab')
      await d.syncFolder('/d')
      const file = await d.open('/d/a', 'append')
      await file.append(bytes('cd'))
    })
    found.add(text(disk.crash('power').bytes('/d/a')) as string)
  }
  expect([...found].sort()).toEqual(['ab', 'ab\0\0', 'abc', 'abcd'])
})

test('a rename without a sync of its folder is found done or not done, never in between', async () => {
  const found = new Set<string>()
  for (let seed = 0; seed < 100; seed++) {
    const { disk } = await run(seed, async (d) => {
      await writeFile(d, '/d/a', 'old')
      await d.syncFolder('/d')
      await writeFile(d, '/d/b', 'new')
      await d.rename('/d/b', '/d/a')
    })
    const after = disk.crash('power')
    found.add(`${text(after.bytes('/d/a'))} ${text(after.bytes('/d/b'))}`)
  }
  expect([...found].sort()).toEqual(['new undefined', 'old new', 'old undefined'])
})

test('a file renamed before its content is synced may be found empty', async () => {
  const found = new Set<string>()
  for (let seed = 0; seed < 100; seed++) {
    const { disk } = await run(seed, async (d) => {
      await writeFile(d, '/d/b', 'new', false)
      await d.rename('/d/b', '/d/a')
      await d.syncFolder('/d')
    })
    found.add(text(disk.crash('power').bytes('/d/a')) as string)
  }
  expect(found).toContain('')
})

test('a process that is killed loses nothing it wrote', async () => {
  const { disk } = await run(1, (d) => writeFile(d, '/d/a', 'hello', false))
  const once = disk.crash('kill')
  expect(text(once.bytes('/d/a'))).toBe('hello')
  const found = new Set(Array.from({ length: 40 }, () => text(once.crash('power').bytes('/d/a'))))
  expect(found).toContain(undefined)
})

test('a crash before, during or after a write leaves what it says', async () => {
  const crashAt = async (site: string, when: 'before' | 'during' | 'after') => {
    const { disk, crashes, isDone } = await run(
      5,
      (d) => writeFile(d, '/d/a7', 'hello'),
      (write) => (write.site === site ? { type: 'crash', when, kind: 'kill' } : undefined),
    )
    expect(crashes).toEqual([['kill', site]])
    expect(isDone).toBe(false)
    return text(disk.crash('kill').bytes('/d/a7'))
  }
  expect(await crashAt('create a#', 'before')).toBe(undefined)
  expect(await crashAt('append a#', 'before')).toBe('')
  expect('hello'.startsWith((await crashAt('append a#', 'during')) as string)).toBe(true)
  expect(await crashAt('append a#', 'after')).toBe('hello')
})

test('a full disk and a device error reject with their codes', async () => {
  const full = await run(
    1,
    (d) => writeFile(d, '/d/a', 'hello'),
    (w) => (w.action === 'append' ? { type: 'full' } : undefined),
  )
  expect(full.error).toMatchObject({ code: 'DISK_FULL', retryable: true })
  const broken = await run(
    1,
    (d) => writeFile(d, '/d/a', 'hello'),
    (w) => (w.action === 'sync' ? { type: 'error' } : undefined),
  )
  expect(broken.error).toMatchObject({ code: 'DISK_IO' })
  expect(broken.disk.crash('kill').bytes('/d/a')).toEqual(bytes('hello'))
  const missing = await run(1, async (d) => void (await d.open('/d/none', 'read')))
  expect(missing.error).toMatchObject({ code: 'DISK_NOT_FOUND' })
})

test('a flipped bit changes one file', () => {
  const disk = new SimDisk(seededRandom(3))
  disk.put('/d/a', 'hello')
  expect(disk.flipBit()).toBe('/d/a')
  expect(text(disk.bytes('/d/a'))).not.toBe('hello')
})

test('the same seed gives the same trace, another one another', async () => {
  const work = (d: Disk) => Promise.all(['a', 'b', 'c'].map((name) => writeFile(d, `/d/${name}`, name))).then(() => {})
  const hash = async (seed: number) => (await run(seed, work)).scheduler.traceHash
  expect(await hash(7)).toBe(await hash(7))
  expect(await hash(7)).not.toBe(await hash(8))
})

test('without power loss the disk gives back what a map of files would', async () => {
  const name = fc.constantFrom('/d/a', '/d/b', '/d/sub/c')
  const step = fc.oneof(
    fc.record({ type: fc.constant('write' as const), name, content: fc.string({ maxLength: 8 }) }),
    fc.record({ type: fc.constant('append' as const), name, content: fc.string({ maxLength: 8 }) }),
    fc.record({ type: fc.constant('rename' as const), name, to: name }),
    fc.record({ type: fc.constant('remove' as const), name }),
    fc.record({ type: fc.constant('sync' as const), name: fc.constantFrom('/d', '/d/sub') }),
  )
  await fc.assert(
    fc.asyncProperty(fc.integer(), fc.array(step, { maxLength: 12 }), async (seed, steps) => {
      const model = new Map<string, string>()
      const { disk, error } = await run(seed, async (d) => {
        await d.makeFolder('/d/sub')
        for (const s of steps) {
          if (s.type === 'write') {
            await writeFile(d, s.name, s.content, seed % 2 === 0)
            model.set(s.name, s.content)
          } else if (s.type === 'append') {
            const file = await d.open(s.name, 'append')
            await file.append(bytes(s.content))
            model.set(s.name, (model.get(s.name) ?? '') + s.content)
          } else if (s.type === 'rename') {
            if (!model.has(s.name)) continue
            await d.rename(s.name, s.to)
            const content = model.get(s.name) as string
            model.delete(s.name)
            model.set(s.to, content)
          } else if (s.type === 'remove') {
            await d.remove(s.name)
            model.delete(s.name)
          } else await d.syncFolder(s.name)
        }
      })
      expect(error).toBe(undefined)
      for (const found of [disk, disk.crash('kill')]) {
        expect(new Map(found.files().map((path) => [path, text(found.bytes(path))]))).toEqual(
          new Map([...model].sort()),
        )
      }
    }),
    { numRuns: cases(50) },
  )
})
