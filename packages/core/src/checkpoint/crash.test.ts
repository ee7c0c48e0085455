import { describe, expect, test } from 'vitest'
import { keyGroupOf, ownerOfGroup } from '../batch/key.ts'
import type { Disk, Scheduler } from '../runtime/ports.ts'
import { StateStore } from '../state/store.ts'
import { cases } from '../testing/cases.ts'
import { SimClock } from '../testing/sim-clock.ts'
import { type CrashKind, SimDisk } from '../testing/sim-disk.ts'
import { type DiskFault, type DiskWrite, simDiskPort } from '../testing/sim-disk-port.ts'
import { seededRandom } from '../testing/sim-random.ts'
import { SimScheduler } from '../testing/sim-scheduler.ts'
import { CheckpointStore } from './checkpoint-store.ts'
import { EpochLog } from './epoch-log.ts'
import type { Manifest } from './manifest.ts'
import type { WriteSite } from './write-sites.ts'

const STEPS = 7
const KEYS = 12
const OUT = '/d/out'

/** What each step of the imagined flow does, by number: the oracle and the workers share it. */
function changesOf(step: number): { key: number; value: number | undefined }[] {
  const random = seededRandom(step)
  return Array.from({ length: 8 }, () => ({
    key: random.int(KEYS),
    value: random.chance(0.3) ? undefined : random.int(100),
  }))
}

function stateAfter(steps: number): Map<number, number> {
  const state = new Map<number, number>()
  for (let step = 1; step <= steps; step++) {
    for (const { key, value } of changesOf(step)) {
      if (value === undefined) state.delete(key)
      else state.set(key, value)
    }
  }
  return state
}

const lineOf = (step: number): string => `step ${step}\n`
const outputAfter = (steps: number): string => Array.from({ length: steps }, (_, i) => lineOf(i + 1)).join('')

interface Life {
  readonly disk: Disk
  readonly scheduler: Scheduler
  readonly clock: SimClock
  readonly workers: number
  readonly onWrite?: (site: WriteSite) => void
  /** Hears of each decision the store reported. */
  readonly onCommit?: (steps: number) => void
  /** Hears what was restored. */
  readonly onRestored?: (steps: number, state: Map<number, number>) => void
}

/** One life of a process: restore, roll forward, go on to the last step. */
async function live(life: Life): Promise<void> {
  const { disk, workers, onWrite } = life
  const store = new CheckpointStore({ ...life, folder: '/d/state', flow: 'flow', logsMax: 4, mergeBytesMin: 300 })
  await disk.makeFolder('/d/state')
  const { manifest } = await store.openLatest()
  const stores: StateStore[] = []
  for (let index = 0; index < workers; index++) {
    const worker = new StateStore({ worker: { index, count: workers } })
    if (manifest !== undefined) {
      await store.readState(manifest, (section) =>
        worker.apply(section, (key) => ownerOfGroup(keyGroupOf(key), workers) === index),
      )
    }
    stores.push(worker)
  }
  const tables = stores.map((worker) => worker.forStep('step').table<number>('t'))
  const restored = new Map<number, number>()
  for (const table of tables) table.forEach((key, _, value) => void restored.set(key as number, value))
  let steps = (manifest?.sources.source.p.position as number | undefined) ?? 0
  life.onRestored?.(steps, restored)
  if (manifest !== undefined) await publish(disk, store, manifest)
  while (steps < STEPS) {
    steps++
    const epoch = store.nextEpoch
    const logs = stores.map(
      (_, worker) => new EpochLog({ disk, folder: '/d/state', epoch, worker, ...(onWrite && { onWrite }) }),
    )
    for (const { key, value } of changesOf(steps)) {
      const table = tables[ownerOfGroup(keyGroupOf(key), workers)]
      if (value === undefined) table.delete(key)
      else table.set(key, value)
    }
    const half = lineOf(steps).length >> 1
    logs[0].stage('out', Buffer.from(lineOf(steps).slice(0, half)))
    logs[workers - 1].stage('out', Buffer.from(lineOf(steps).slice(half)))
    stores.forEach((worker, i) => {
      for (const section of worker.delta()) logs[i].state('step', section)
    })
    const files = await Promise.all(logs.map((log) => log.finish()))
    const before = (store.current?.sinks.out.after as number | undefined) ?? 0
    const bytes = lineOf(steps).length
    const decided = await store.commit(
      {
        planHash: 'hash',
        epoch,
        workers,
        timeMs: life.clock.now(),
        sources: { source: { p: { position: steps, watermark: steps, rows: steps } } },
        state: stores[0].describe(),
        sinks: { out: { before, after: before + bytes, bytes } },
        ...(steps === 3 ? { savepoint: 'third' } : {}),
      },
      files,
    )
    life.onCommit?.(steps)
    await publish(disk, store, decided)
    await store.compact()
  }
}

async function publish(disk: Disk, store: CheckpointStore, manifest: Manifest): Promise<void> {
  const { before } = manifest.sinks.out
  const file = await disk.open(OUT, 'append')
  await file.truncate((before as number | undefined) ?? 0)
  for await (const bytes of store.staged(manifest, 'out')) await file.append(bytes)
  await file.sync()
  await file.close()
  await disk.syncFolder('/d')
}

type Fault = (write: DiskWrite) => DiskFault | undefined

/** Runs a life on a disk until it ends, fails or crashes. */
async function run(disk: SimDisk, seed: number, workers: number, fault?: Fault) {
  const scheduler = new SimScheduler(seed)
  const process = scheduler.process('p')
  let crash: { kind: CrashKind; site: string } | undefined
  let writes = 0
  const port = simDiskPort({
    disk,
    process,
    random: seededRandom(seed).fork('port'),
    root: '/d',
    isInstant: true,
    ...(fault === undefined ? {} : { fault }),
    onCrash: (kind, { site }) => {
      crash = { kind, site }
    },
    onWrite: () => void writes++,
  })
  let decided = 0
  let end: { readonly error: unknown } | undefined
  let restored: { steps: number; state: Map<number, number> } | undefined
  live({
    disk: port,
    scheduler: process,
    clock: new SimClock(scheduler),
    workers,
    onCommit: (steps) => {
      decided = steps
    },
    onRestored: (steps, state) => {
      restored = { steps, state }
    },
  }).then(
    () => {
      end = { error: undefined }
    },
    (error: unknown) => {
      end = { error }
    },
  )
  await scheduler.run(() => end !== undefined || crash !== undefined)
  return { disk, crash, writes, decided, error: end?.error, restored }
}

const fresh = (seed: number): SimDisk => {
  const disk = new SimDisk(seededRandom(seed).fork('disk'))
  disk.makeFolder('/d')
  return disk
}

const textOf = (disk: SimDisk, path: string): string => Buffer.from(disk.bytes(path) ?? []).toString()

describe('a crash at any durable write', () => {
  test('restores the last decided epoch, and goes on to the same end', async () => {
    const whole = await run(fresh(0), 0, 2)
    expect(whole.error).toBeUndefined()
    expect(textOf(whole.disk, OUT)).toBe(outputAfter(STEPS))
    const faults = (['before', 'during', 'after'] as const).flatMap((when) =>
      (['power', 'kill'] as const).map((kind) => ({ type: 'crash' as const, when, kind })),
    )
    const sites = new Set<string>()
    const runs = Math.min(faults.length * whole.writes, cases(whole.writes))
    for (let i = 0; i < runs; i++) {
      const number = i % whole.writes
      const fault = faults[(i + Math.floor(i / whole.writes)) % faults.length]
      const first = await run(fresh(i), i, 2, (write) => (write.number === number ? fault : undefined))
      if (first.crash === undefined) continue
      sites.add(first.crash.site)
      const workers = 1 + (i % 3)
      const second = await run(first.disk.crash(first.crash.kind), i + 1, workers)
      const label = `write ${number} ${first.crash.site} ${fault.when} ${fault.kind}`
      expect(second.error, label).toBeUndefined()
      const { steps, state } = second.restored as { steps: number; state: Map<number, number> }
      // What was reported as decided is; what was on its way may be.
      expect([first.decided, first.decided + 1], label).toContain(steps)
      expect([...state].sort(), label).toEqual([...stateAfter(steps)].sort())
      expect(textOf(second.disk, OUT), label).toBe(outputAfter(STEPS))
    }
    expect([...sites].join('\n')).toMatch(/append state\/epochs[\s\S]*rename state\/MANIFEST/)
  })

  test('and again while it recovers', async () => {
    for (let seed = 0; seed < cases(40); seed++) {
      const random = seededRandom(seed)
      let disk = fresh(seed)
      let decided = 0
      for (let lives = 0; lives < 12; lives++) {
        const number = random.int(40)
        const when = random.pick(['before', 'during', 'after'] as const)
        const kind = random.pick(['power', 'kill'] as const)
        const life = await run(disk, seed * 100 + lives, random.between(1, 3), (write) =>
          lives < 11 && write.number === number ? { type: 'crash', when, kind } : undefined,
        )
        expect(life.error).toBeUndefined()
        if (life.restored !== undefined) {
          expect(life.restored.steps).toBeGreaterThanOrEqual(decided)
          expect([...life.restored.state].sort()).toEqual([...stateAfter(life.restored.steps)].sort())
        }
        decided = Math.max(decided, life.decided)
        if (life.crash === undefined) break
        disk = life.disk.crash(life.crash.kind)
      }
      const last = await run(disk, seed, 1)
      expect(textOf(last.disk, OUT)).toBe(outputAfter(STEPS))
    }
  })

  test('a full disk or a failing one stops the flow, and a restart goes on from the last decision', async () => {
    const { writes } = await run(fresh(0), 0, 2)
    for (let number = 0; number < writes; number++) {
      const type = number % 2 === 0 ? 'full' : 'error'
      const first = await run(fresh(number), number, 2, (write) => (write.number === number ? { type } : undefined))
      const second = await run(first.disk, number + 1, 2)
      expect(second.error).toBeUndefined()
      expect(second.restored?.steps).toBeGreaterThanOrEqual(first.decided)
      expect(textOf(second.disk, OUT)).toBe(outputAfter(STEPS))
    }
  })
})

describe('damage', () => {
  const manifests = (disk: SimDisk): string[] => disk.files().filter((path) => /MANIFEST-\d+$/.test(path))

  test('a torn newest manifest is passed over, with a warning', async () => {
    const { disk } = await run(fresh(1), 1, 1)
    const newest = manifests(disk).at(-1) as string
    disk.put(newest, (disk.bytes(newest) as Uint8Array).subarray(0, 50))
    const again = await run(disk, 2, 1)
    expect(again.error).toBeUndefined()
    expect(again.restored?.steps).toBe(STEPS - 1)
    expect([...(again.restored?.state ?? [])].sort()).toEqual([...stateAfter(STEPS - 1)].sort())
    expect(textOf(again.disk, OUT)).toBe(outputAfter(STEPS))
  })

  test('a missing or shortened log makes its manifests unusable, and an older one is taken', async () => {
    for (const damage of ['remove', 'shorten'] as const) {
      const { disk } = await run(fresh(1), 1, 1)
      const log = disk
        .files()
        .filter((path) => path.endsWith('.out'))
        .at(-1) as string
      if (damage === 'remove') disk.remove(log)
      else disk.put(log, (disk.bytes(log) as Uint8Array).subarray(0, 5))
      const again = await run(disk, 2, 1)
      expect(again.error).toBeUndefined()
      expect(again.restored?.steps).toBe(STEPS - 1)
    }
  })

  test('when no manifest is usable the flow does not start empty', async () => {
    const { disk } = await run(fresh(1), 1, 1)
    for (const path of manifests(disk)) disk.put(path, 'not a manifest')
    expect((await run(disk, 2, 1)).error).toMatchObject({
      code: 'CHECKPOINT_CORRUPT',
      data: { warnings: { length: 3 } },
    })
  })

  test('a flipped bit never goes unnoticed', async () => {
    for (let seed = 0; seed < cases(60); seed++) {
      const { disk } = await run(fresh(seed), seed, 2)
      const newest = manifests(disk).at(-1) as string
      const named = Buffer.from(disk.bytes(newest) as Uint8Array).toString()
      const isNamed = (path: string): boolean =>
        path === newest || (path.startsWith('/d/state/') && named.includes(path.slice('/d/state/'.length)))
      const path = disk.flipBit(isNamed) as string
      const again = await run(disk, seed, 2)
      if (path === newest) expect(again.restored?.steps).toBe(STEPS - 1)
      else {
        expect(again.error, path).toMatchObject({
          code: 'CHECKPOINT_CORRUPT',
          data: { file: path.slice('/d/state/'.length) },
        })
      }
    }
  })
})
