/** Runs one seed: the world is built, calls are made while faults happen, all comes to rest, and the checkers judge. */
import { check } from './check.ts'
import { functionsOf } from './functions.ts'
import type { CallPlan, CallRecord, FaultRecord } from './ledger.ts'
import { type FaultPlan, type Scenario, scenarioOf } from './scenario.ts'
import { type DecorateLink, HOLD_MS, SILENT_MS, World } from './world.ts'

export interface SeedResult {
  readonly scenario: Scenario
  /** What is wrong; undefined: nothing. */
  readonly failure: string | undefined
  readonly faults: number
  readonly calls: number
  readonly failedCalls: number
  readonly resumed: number
  readonly placedAgain: number
  readonly items: number
  readonly virtualMs: number
  readonly traceHash: number
}

const QUIET_MS = HOLD_MS + 40_000

export async function runSeed(seed: number, decorate?: DecorateLink, faults?: number): Promise<SeedResult> {
  const scenario = scenarioOf(seed, faults === undefined ? {} : { faults })
  const world = new World(seed, decorate)
  const records = new Map<number, CallRecord>(scenario.calls.map((plan) => [plan.id, newRecord(plan)]))
  const done: FaultRecord[] = []
  const totals = { resumed: 0, placedAgain: 0 }
  let failure: string | undefined
  try {
    const started = start(world, scenario, records)
    await world.scheduler.run(() => started.isDone, { virtualMs: 60_000 })
    if (started.error !== undefined) throw started.error
    const fromMs = world.now
    for (const fault of scenario.faults) {
      world.scheduler.schedule(fault.atMs, `fault ${fault.kind}`, () => {
        if (fault.kind === 'restart') add(totals, world)
        const record = inflict(world, fault)
        if (record !== undefined) done.push(record)
      })
    }
    for (const record of records.values()) {
      world.scheduler.schedule(record.plan.startMs, 'call', () => void make(world, record))
    }
    const areEnded = (): boolean => world.now - fromMs > 20_100 && [...records.values()].every(({ ends }) => ends > 0)
    const end = await world.scheduler.run(areEnded, { virtualMs: 300_000, events: 2_000_000 })
    failure = end === 'done' ? undefined : `the calls did not come to their end (${end})`
    await world.scheduler.run(() => false, { virtualMs: QUIET_MS, events: 2_000_000 })
    failure ??= check(world, records, done)
    add(totals, world)
    await world.close()
    const rest = await world.scheduler.run(() => false, { virtualMs: 120_000, events: 500_000 })
    if (rest !== 'idle') failure ??= `after everything was closed something goes on for ever (${rest})`
  } catch (error) {
    failure ??= `it threw ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`
  }
  const all = [...records.values()]
  return {
    scenario,
    failure,
    faults: done.length,
    calls: all.length,
    failedCalls: all.filter(({ error }) => error !== undefined).length,
    ...totals,
    items: all.reduce((sum, { items }) => sum + items.length, 0),
    virtualMs: world.now,
    traceHash: world.scheduler.traceHash,
  }
}

function newRecord(plan: CallPlan): CallRecord {
  return {
    ...{ plan, startedAtMs: 0, endedAtMs: undefined, ends: 0, error: undefined, value: undefined, items: [] },
    ...{ begunOn: [], finished: 0, produced: 0, aheadMost: 0 },
  }
}

function start(
  world: World,
  scenario: Scenario,
  records: Map<number, CallRecord>,
): { isDone: boolean; error: unknown } {
  const state: { isDone: boolean; error: unknown } = { isDone: false, error: undefined }
  const all = async (): Promise<void> => {
    for (const id of scenario.nodes) await world.startNode(id, (host, node) => functionsOf(records, host, node))
    for (let i = 0; i < scenario.clients; i++) await world.startClient(i)
  }
  all().then(
    () => {
      state.isDone = true
    },
    (error: unknown) => {
      state.error = error
      state.isDone = true
    },
  )
  return state
}

async function make(world: World, record: CallRecord): Promise<void> {
  const { id, client: number, kind, size, gapMs, slowMs, idempotent, resumable, deadlineMs, leaveAfter } = record.plan
  const { client: plain, host } = world.clients[number]
  const client = plain.with({ idempotent, resumable, ...(deadlineMs === undefined ? {} : { deadline: deadlineMs }) })
  record.startedAtMs = world.now
  try {
    if (kind === 'work') record.value = await client.call.work(id, size)
    else if (kind === 'sum') record.value = await client.call.sum(id, numbers(size))
    else if (kind === 'big') record.value = await client.call.big(id, new Uint8Array(size * 1024).fill(id & 255))
    else {
      const stream = kind === 'steps' ? client.stream.steps(id, size, gapMs) : client.stream.burst(id, size)
      for await (const item of stream) {
        record.items.push(item)
        if (record.items.length === leaveAfter) break
        if (slowMs > 0) await host.sleep(slowMs)
      }
    }
  } catch (error) {
    record.error = error instanceof Error ? error : new Error(String(error))
  }
  record.ends++
  record.endedAtMs = world.now
}

async function* numbers(n: number): AsyncGenerator<number> {
  for (let i = 0; i < n; i++) yield i
}

/** Undefined: there was nothing to do it to. */
function inflict(world: World, { kind, whose, ms }: FaultPlan): FaultRecord | undefined {
  const atMs = world.now
  const recorded = (lastsMs: number): FaultRecord => ({ kind, whose, atMs, untilMs: atMs + lastsMs })
  const wire = world.wireOf(whose)
  const isOpen = wire !== undefined && !wire.dialer.isClosed && !wire.acceptor.isClosed && !wire.isSilent
  switch (kind) {
    case 'restart':
      if (!world.gateway.host.isAlive) return undefined
      world.restartGateway(Math.min(ms, 4_000))
      return recorded(Math.min(ms, 4_000) + 3_000)
    case 'kill':
      // One is left to go on with.
      if ([...world.nodes.values()].filter(({ host }) => host.isAlive).length < 2) return undefined
      if (world.hostOf(whose)?.isAlive !== true) return undefined
      world.killNode(whose)
      return recorded(Number.POSITIVE_INFINITY)
    case 'freeze': {
      const host = world.hostOf(whose)
      if (host?.isAlive !== true) return undefined
      host.freeze()
      world.scheduler.schedule(ms, 'thaw', () => host.thaw())
      return recorded(ms + SILENT_MS + 3_000)
    }
  }
  if (!isOpen) return undefined
  switch (kind) {
    case 'cut':
      wire.cut()
      return recorded(3_000)
    case 'lagging-cut':
      // The end that dialled knows at once and comes back before the last of it has arrived.
      wire.cut({ acceptorMs: ms, losesMessages: false })
      return recorded(ms + 3_000)
    case 'silence':
      wire.silence()
      return recorded(2 * SILENT_MS + 3_000)
    case 'slow-reader':
      wire.dialer.readBytesPerMs = 20
      world.scheduler.schedule(ms, 'fast again', () => {
        wire.dialer.readBytesPerMs = Number.POSITIVE_INFINITY
      })
      return recorded(ms + SILENT_MS + 3_000)
    default:
      wire.dialer.repeatsFirst()
      return recorded(3_000)
  }
}

function add(totals: { resumed: number; placedAgain: number }, world: World): void {
  const { resumed, placedAgain } = world.gateway.core.stats
  totals.resumed += resumed
  totals.placedAgain += placedAgain
}
