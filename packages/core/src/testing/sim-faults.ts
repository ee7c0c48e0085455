/**
 * What goes wrong in a simulation, and when. A simulation is a row of lives: a process starts, runs, dies, and the next
 * one starts on what the disk kept. Faults are given per life; the last life has none that kills.
 */

import type { CrashKind } from './sim-disk.ts'
import type { DiskFault, DiskWrite, WriteAction } from './sim-disk-port.ts'
import type { SeededRandom } from './sim-random.ts'

export type Fault =
  /** The process dies at its n-th durable write. */
  | {
      readonly type: 'crash'
      readonly write: number
      readonly when: 'before' | 'during' | 'after'
      readonly kind: CrashKind
    }
  /** The process dies at its n-th write of a kind: of an action to a path that contains a text. */
  | {
      readonly type: 'crash at'
      readonly action: WriteAction
      readonly path: string
      readonly write: number
      readonly when: 'before' | 'during' | 'after'
      readonly kind: CrashKind
    }
  /** The process dies after this much virtual time. */
  | { readonly type: 'crash after'; readonly ms: number; readonly kind: CrashKind }
  /** One worker dies after this much virtual time; the supervisor goes on. */
  | { readonly type: 'worker crash'; readonly ms: number; readonly worker: number }
  /** Writes from the n-th on take longer. */
  | { readonly type: 'slow disk'; readonly write: number; readonly writes: number; readonly ms: number }
  /** Writes from the n-th on find no space. */
  | { readonly type: 'disk full'; readonly write: number; readonly writes: number }
  /** The n-th write fails with an i/o error. */
  | { readonly type: 'disk error'; readonly write: number }
  /** The flow is asked to stop after this much virtual time, with a savepoint or without; the next life goes on. */
  | { readonly type: 'stop'; readonly ms: number; readonly savepoint: string | undefined }
  /** When the life has ended, a bit of the newest commit record is found flipped, if there is an older one. */
  | { readonly type: 'bit flip' }
  /** The wall clock jumps. */
  | { readonly type: 'clock jump'; readonly ms: number; readonly byMs: number }
  /** The wall clock stands still. */
  | { readonly type: 'clock freeze'; readonly ms: number; readonly forMs: number }

/** The faults of each life. */
export type FaultPlan = readonly (readonly Fault[])[]

/** Draws `count` faults. Those that end a life open the next one. */
export function drawFaults(random: SeededRandom, count: number, workers: number): FaultPlan {
  const lives: Fault[][] = [[]]
  for (let i = 0; i < count; i++) {
    const fault = drawFault(random, workers)
    lives[lives.length - 1].push(fault)
    if (fault.type === 'crash at' && fault.path === '/savepoints') {
      lives[lives.length - 1].push({ type: 'stop', ms: random.next() * 500, savepoint: `fault-${i}` })
    }
    // A write of a kind may never come, so another fault may end the life of a 'crash at'.
    if (isFatal(fault) && fault.type !== 'crash at') lives.push([])
  }
  return lives
}

/** Does it end the life? */
export function isFatal(fault: Fault): boolean {
  return (
    fault.type === 'crash' ||
    fault.type === 'crash at' ||
    fault.type === 'crash after' ||
    fault.type === 'disk error' ||
    fault.type === 'stop'
  )
}

/** What the disk does at each write of a life. */
export function diskFaults(faults: readonly Fault[]): (write: DiskWrite) => DiskFault | undefined {
  const seen = new Map<Fault, number>()
  return ({ number, action, path }) => {
    for (const fault of faults) {
      switch (fault.type) {
        case 'crash':
          if (number === fault.write) return { type: 'crash', when: fault.when, kind: fault.kind }
          break
        case 'crash at': {
          if (action !== fault.action || !path.includes(fault.path)) break
          const count = seen.get(fault) ?? 0
          seen.set(fault, count + 1)
          if (count === fault.write) return { type: 'crash', when: fault.when, kind: fault.kind }
          break
        }
        case 'disk full':
          if (number >= fault.write && number < fault.write + fault.writes) return { type: 'full' }
          break
        case 'disk error':
          if (number === fault.write) return { type: 'error' }
          break
        case 'slow disk':
          if (number >= fault.write && number < fault.write + fault.writes) return { type: 'slow', ms: fault.ms }
          break
      }
    }
    return undefined
  }
}

/** Writes that a random number seldom meets. */
const rareWrites: readonly (readonly [action: WriteAction, path: string])[] = [
  ...(['create', 'append', 'sync', 'sync folder', 'remove'] as const).map((action) => [action, '/base'] as const),
  ...(['create', 'append', 'sync', 'rename', 'sync folder'] as const).map((action) => [action, '/savepoints'] as const),
  ...(['create', 'append', 'sync', 'rename', 'remove'] as const).map((action) => [action, '/MANIFEST'] as const),
  ...(['create', 'append', 'sync', 'sync folder', 'remove'] as const).map((action) => [action, '/epochs'] as const),
  ...(['create', 'append', 'sync', 'sync folder', 'truncate'] as const).map((action) => [action, '/out'] as const),
]

function drawFault(random: SeededRandom, workers: number): Fault {
  const kind = random.chance(0.6) ? 'power' : 'kill'
  // Small numbers often: the first writes of a life are those of recovery.
  const write = Math.floor(2 ** (random.next() * 8)) - 1
  const ms = random.next() * 3_000
  const when = random.pick(['before', 'during', 'after', 'after'] as const)
  switch (random.int(12)) {
    case 0:
      return { type: 'crash after', ms, kind }
    case 1:
      return { type: 'worker crash', ms, worker: random.int(workers) }
    case 2:
      return { type: 'slow disk', write, writes: random.between(1, 20), ms: random.between(20, 2_000) }
    case 3:
      return { type: 'disk full', write, writes: random.between(1, 3) }
    case 4:
      return random.chance(0.5)
        ? { type: 'clock jump', ms, byMs: random.between(-3_600_000, 3_600_000) }
        : { type: 'clock freeze', ms, forMs: random.between(100, 60_000) }
    case 5:
      return random.chance(0.3) ? { type: 'disk error', write } : { type: 'crash', write, when: 'before', kind }
    case 6:
    case 7:
    case 8: {
      const [action, path] = random.pick(rareWrites)
      return {
        type: 'crash at',
        action,
        path,
        write: random.int(path === '/base' || path === '/savepoints' ? 1 : 4),
        when,
        kind,
      }
    }
    default:
      if (random.chance(0.1)) return { type: 'bit flip' }
      if (random.chance(0.1)) return { type: 'stop', ms, savepoint: random.pick([undefined, 'fault-0']) }
      return { type: 'crash', write, when, kind }
  }
}
