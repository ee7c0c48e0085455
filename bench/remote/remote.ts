/** Remote calls and streams through a gateway, beside EasyRemote, gRPC and a bare WebSocket in the same run. */
import type { Bench } from '../lib/bench.ts'
import { measureInChild } from '../lib/child.ts'
import { Rounds } from './rounds.ts'
import { findSystems, type System } from './systems.ts'
import { callsTable, itemsTable, largeTable, targetsTable } from './tables.ts'
import { whereTables } from './where.ts'

interface Size {
  readonly rounds: number
  readonly ms: number
  readonly callers: readonly number[]
  readonly streams: readonly string[]
  readonly items: number
  readonly stoppedMs: number
  readonly rates: readonly number[]
  /** Where the time goes, and what waits for the peer's own limits. */
  readonly isWhole: boolean
}

const FULL: Size = {
  ...{ rounds: 3, ms: 3000, callers: [1, 16, 64], streams: ['gen', 'agen', 'texts'], items: 2_000_000 },
  ...{ stoppedMs: 10_000, rates: [100, 10_000], isWhole: true },
}
const SHORT: Size = {
  ...{ rounds: 1, ms: 300, callers: [64], streams: ['gen'], items: 200_000 },
  ...{ stoppedMs: 1000, rates: [10_000], isWhole: false },
}

/** EasyRemote needs about 300 s to tell of a lost node. */
const LOSS_LIMIT_S = 330

/** EasyRemote's rates are a hundredth; so are its items. */
const EASYREMOTE_SHARE = 100
const TEXTS_SHARE = 10

export const remote: Bench = {
  what: 'remote calls and streams through a gateway: latency, rates, loss, memory, beside EasyRemote and gRPC',
  async measure(isFull) {
    const size = isFull ? FULL : SHORT
    const { ours, threads, nats, bare, grpc, easyRemote, notes } = findSystems()
    const present = (systems: readonly (System | undefined)[]): System[] => systems.filter((each) => each !== undefined)
    const all = present([ours, threads, nats, bare, grpc, easyRemote])
    const run = (options: Readonly<Record<string, string | number>>): Promise<unknown> => {
      const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)])
      return measureInChild('remote/run.ts', args)
    }
    const rounds = new Rounds((what, system, options) => run({ case: what, ...system.args, ...options }))
    const { ms, items } = size
    for (const callers of size.callers) rounds.plan('calls', all, { callers }, { ms })
    for (const fn of size.streams) {
      for (const system of all) {
        // A bare WebSocket has no generators.
        if (system === bare && fn === 'agen') continue
        const share = (system === easyRemote ? EASYREMOTE_SHARE : 1) * (fn === 'texts' ? TEXTS_SHARE : 1)
        rounds.plan('items', [system], { fn }, { items: Math.ceil(items / share) })
      }
    }
    rounds.plan('first', present([ours, nats, easyRemote]))
    rounds.plan('arrival', present([ours, easyRemote]), { ms })
    rounds.plan('large', present([ours, grpc]))
    rounds.plan('loss', present([ours, nats]))
    rounds.plan('stopped', [ours], { ms: size.stoppedMs })
    for (const rate of size.rates) rounds.plan('sensor', [ours, threads], { rate }, { ms: 2 * ms })
    rounds.plan('beside', [ours, threads], {}, { ms })
    await rounds.run(size.rounds)
    // Once: they wait for limits of the peer.
    const once = new Map<string, unknown>()
    if (easyRemote !== undefined && size.isWhole) {
      for (const what of ['large', 'loss']) {
        once.set(what, await rounds.once(what, easyRemote, { limitS: LOSS_LIMIT_S }))
      }
    }
    const where = size.isWhole ? await whereTables(run, 2 * ms, 2 * items) : []
    return {
      tables: [
        callsTable(rounds, ours, all, size.callers, [...notes, ...rounds.failures]),
        itemsTable(rounds, ours, all),
        largeTable(rounds, ours, grpc, once.get('large')),
        targetsTable(rounds, { ours, threads, nats, easyRemote }, once.get('loss'), LOSS_LIMIT_S, size.rates),
        ...where,
      ],
      data: { size, notes, runs: rounds.data, once: Object.fromEntries(once), where },
    }
  },
}
