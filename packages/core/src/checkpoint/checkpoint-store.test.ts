import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { setImmediate as soon } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nodeDisk } from '../runtime/node-disk.ts'
import type { Disk, Processes } from '../runtime/ports.ts'
import { StateStore } from '../state/store.ts'
import { CheckpointStore } from './checkpoint-store.ts'
import { EpochLog } from './epoch-log.ts'
import { lockFlow } from './lock.ts'
import type { Commit, Manifest } from './manifest.ts'

const disk = nodeDisk()
const clock = { now: () => 1000, monotonic: () => performance.now() }
const scheduler = { after: () => () => {}, soon: (fn: () => void) => void setImmediate(fn) }
let folder = ''

beforeEach(async () => {
  folder = await mkdtemp(`${tmpdir()}/millrace-checkpoint-`)
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function open(options: { flow?: string; logsMax?: number; mergeBytesMin?: number } = {}): CheckpointStore {
  return new CheckpointStore({ disk, folder, clock, scheduler, flow: 'flow', ...options })
}

async function commit(store: CheckpointStore, state: StateStore, more: Partial<Commit> = {}): Promise<Manifest> {
  const epoch = store.nextEpoch
  const log = new EpochLog({ disk, folder, epoch, worker: 0 })
  for (const section of state.delta()) log.state('s', section)
  return store.commit(
    { planHash: 'h', epoch, workers: 1, timeMs: 1, sources: {}, state: state.describe(), sinks: {}, ...more },
    [await log.finish()],
  )
}

async function restore(store: CheckpointStore, manifest: Manifest | undefined): Promise<StateStore> {
  const state = new StateStore()
  if (manifest !== undefined) await store.readState(manifest, (section) => state.apply(section))
  return state
}

const valueIn = (state: StateStore): unknown => state.forStep('s').table('t').get('k')

function entriesIn(state: StateStore): string[] {
  const list: string[] = []
  const table = state.forStep('s').table('t')
  table.forEach((key, _, value) => void list.push(`${key}=${value}`))
  return list.sort()
}

function set(state: StateStore, value: unknown, key = 'k'): void {
  state.forStep('s').table('t').set(key, value)
}

describe('checkpoints', () => {
  test('the last three manifests and what they name are kept, no more', async () => {
    const store = open()
    expect(await store.openLatest()).toEqual({ manifest: undefined, warnings: [] })
    const state = new StateStore()
    for (let i = 0; i < 6; i++) {
      set(state, i)
      const log = new EpochLog({ disk, folder, epoch: store.nextEpoch, worker: 0 })
      log.stage('sink', Uint8Array.of(i))
      for (const section of state.delta()) log.state('s', section)
      const sinks = { sink: { before: i, after: i + 1, bytes: 1 } }
      const draft = {
        planHash: 'h',
        epoch: store.nextEpoch,
        workers: 1,
        timeMs: 1,
        sources: {},
        state: state.describe(),
        sinks,
      }
      const manifest = await store.commit(draft, [await log.finish()])
      const staged: number[] = []
      for await (const bytes of store.staged(manifest, 'sink')) staged.push(...bytes)
      expect(staged).toEqual([i])
    }
    expect((await disk.list(folder)).filter((name) => name.startsWith('MANIFEST'))).toEqual([
      'MANIFEST-0000000004',
      'MANIFEST-0000000005',
      'MANIFEST-0000000006',
    ])
    const files = await disk.list(`${folder}/epochs`)
    expect(files.filter((name) => name.endsWith('.out'))).toHaveLength(3)
    expect(files.filter((name) => name.endsWith('.log'))).toHaveLength(6)
  })

  test('an idle epoch writes a manifest and nothing else', async () => {
    const store = open()
    await store.openLatest()
    await commit(store, new StateStore())
    expect(await disk.list(`${folder}/epochs`)).toEqual([])
  })

  test('many logs are packed and heavy ones merged, beside the commits', async () => {
    for (const options of [{ logsMax: 5 }, { mergeBytesMin: 500 }]) {
      const store = open(options)
      await store.openLatest()
      const state = await restore(store, store.current)
      let logsMax = 0
      for (let i = 0; i < 30; i++) {
        // Commits go on while files are merged: what they add comes after the merged part.
        const compaction = store.compact()
        set(state, i, `key ${i % 10}`)
        if (i % 7 === 0)
          state
            .forStep('s')
            .table('t')
            .delete(`key ${(i + 3) % 10}`)
        const manifest = await commit(store, state)
        if (i % 3 > 0) await compaction
        logsMax = Math.max(logsMax, manifest.logs.length)
        expect(entriesIn(await restore(store, manifest))).toEqual(entriesIn(state))
      }
      await store.compact()
      expect(logsMax).toBeLessThan(20)
      const next = open()
      expect(entriesIn(await restore(next, (await next.openLatest()).manifest))).toEqual(entriesIn(state))
    }
  })

  test('a savepoint outlives the commits after it, and the flow goes on from it', async () => {
    const store = open({ mergeBytesMin: 100 })
    await store.openLatest()
    const state = new StateStore()
    set(state, 'early')
    await commit(store, state, { savepoint: 'before-upgrade' })
    for (let i = 0; i < 8; i++) {
      set(state, i)
      await commit(store, state)
      await store.compact()
    }
    const later = open()
    const { manifest } = await later.openSavepoint('before-upgrade')
    const early = await restore(later, manifest)
    expect(valueIn(early)).toBe('early')
    expect(later.nextEpoch).toBe(10)
    set(early, 'again')
    await commit(later, early)
    const last = open()
    expect(valueIn(await restore(last, (await last.openLatest()).manifest))).toBe('again')
    set(early, 'moved')
    await commit(last, early, { savepoint: 'before-upgrade' })
    const moved = open()
    expect(valueIn(await restore(moved, (await moved.openSavepoint('before-upgrade')).manifest))).toBe('moved')
    expect(await last.savepoints()).toEqual(['before-upgrade'])
    await last.removeSavepoint('before-upgrade')
    await expect(last.openSavepoint('before-upgrade')).rejects.toMatchObject({ code: 'SAVEPOINT_UNKNOWN' })
    await expect(commit(last, early, { savepoint: '../x' })).rejects.toMatchObject({ code: 'SAVEPOINT_NAME' })
  })

  test('a folder of another flow is refused', async () => {
    const store = open()
    await store.openLatest()
    await commit(store, new StateStore())
    await expect(open({ flow: 'other' }).openLatest()).rejects.toMatchObject({ code: 'STATE_FOLDER' })
  })

  test('logs of an epoch that was not decided are removed at the next start', async () => {
    const store = open()
    await store.openLatest()
    const state = new StateStore()
    set(state, 1)
    await commit(store, state)
    const log = new EpochLog({ disk, folder, epoch: store.nextEpoch, worker: 0 })
    log.stage('sink', Uint8Array.of(1))
    await log.finish()
    const aborted = new EpochLog({ disk, folder, epoch: store.nextEpoch, worker: 1 })
    aborted.stage('sink', new Uint8Array(1 << 20))
    await aborted.abort()
    expect(await disk.list(`${folder}/epochs`)).toEqual(['0000000001-0.log', '0000000002-0.out'])
    await open().openLatest()
    expect(await disk.list(`${folder}/epochs`)).toEqual(['0000000001-0.log'])
  })

  test('renamed and dropped state leaves the files with the first commit, so the options may be taken out again', async () => {
    const store = open()
    await store.openLatest()
    const state = new StateStore()
    set(state, 1)
    state.forStep('gone').table('t').set('k', 2)
    await commit(store, state)
    const renames = new Map([['s', 'new']])
    const upgrade = open()
    const { manifest } = await upgrade.openLatest()
    await upgrade.evolve({ renames, dropped: [{ step: 'gone', table: 't' }] })
    const next = new StateStore({ renames, allowDropped: ['gone'] })
    await upgrade.readState(manifest as Manifest, (section) => next.apply(section))
    expect(next.forStep('new').table('t').get('k')).toBe(1)
    await commit(upgrade, next)
    const plain = open()
    const copy = await restore(plain, (await plain.openLatest()).manifest)
    expect(copy.forStep('new').table('t').get('k')).toBe(1)
    expect(copy.unclaimed()).toEqual([])
  })

  test('a commit that would lose stored state is stopped', async () => {
    const store = open()
    await store.openLatest()
    const state = new StateStore()
    set(state, 1)
    await commit(store, state)
    await expect(commit(store, new StateStore())).rejects.toMatchObject({ code: 'STATE_LOST' })
    const again = open()
    await again.openLatest()
    await expect(commit(again, new StateStore())).rejects.toMatchObject({ code: 'STATE_MISMATCH' })
  })
})

describe('the lock of a state folder', () => {
  const alive = new Set<number>()
  const processOf = (pid: number, host = 'here', identity: string | undefined = `start ${pid}`): Processes => ({
    pid,
    host,
    isAlive: (other) => alive.has(other),
    identity: (other) => (other === pid ? identity : `start ${other}`),
  })
  const lock = (processes: Processes) => lockFlow({ disk, folder, processes, nowMs: 0, pause: () => soon() })

  test('is refused while its process lives, naming it, and free after a release or a death', async () => {
    alive.clear()
    alive.add(1).add(2)
    const first = await lock(processOf(1))
    await expect(lock(processOf(2))).rejects.toMatchObject({ code: 'FLOW_RUNNING', data: { pid: 1 } })
    await first.check()
    await first.release()
    await lock(processOf(2))
    alive.delete(2)
    await lock(processOf(1))
    await expect(first.check()).rejects.toMatchObject({ code: 'FLOW_FENCED' })
    expect((await disk.list(folder)).filter((name) => name.startsWith('LOCK'))).toHaveLength(1)
  })

  test('is not held by another process that got the same pid', async () => {
    alive.clear()
    alive.add(1)
    await lock(processOf(1, 'here', 'started long ago'))
    await lock({ ...processOf(1), identity: () => 'started now' })
  })

  test('of another host is respected, since its processes cannot be asked', async () => {
    await lock(processOf(1, 'there'))
    await expect(lock(processOf(2))).rejects.toMatchObject({ code: 'FLOW_RUNNING' })
  })

  test('goes to one of many that start at once, over a dead holder or none', async () => {
    alive.clear()
    for (let pid = 1; pid <= 8; pid++) alive.add(pid)
    for (let round = 0; round < 10; round++) {
      const tries = await Promise.allSettled([1, 2, 3, 4, 5, 6, 7, 8].map((pid) => lock(processOf(pid))))
      const held = tries.flatMap((t) => (t.status === 'fulfilled' ? [t.value] : []))
      expect(held).toHaveLength(1)
      await held[0].release()
    }
  })

  test('gives way when others took it between looking and creating', async () => {
    alive.clear()
    alive.add(1).add(2).add(3)
    const gone = await lock(processOf(1))
    await gone.release()
    let held: Awaited<ReturnType<typeof lock>> | undefined
    // While process 2 is about to create LOCK-2, process 1 has it and gives it back, and process 3 takes LOCK-3.
    const slow: Disk = {
      ...disk,
      async open(path, mode) {
        if (mode === 'exclusive' && held === undefined) {
          await (await lock(processOf(1))).release()
          held = await lock(processOf(3))
        }
        return disk.open(path, mode)
      },
    }
    const late = lockFlow({ disk: slow, folder, processes: processOf(2), nowMs: 0, pause: () => soon() })
    await expect(late).rejects.toMatchObject({ code: 'FLOW_RUNNING', data: { pid: 3 } })
    await held?.check()
  })

  test('with a torn content belongs to nobody', async () => {
    const file = await disk.open(`${folder}/LOCK-7`, 'create')
    await file.append(Buffer.from('{"pi'))
    await file.close()
    await lock(processOf(1))
    expect(await disk.list(folder)).toEqual(['LOCK-8'])
  })
})
