/**
 * A log that processes share, of which some are killed and one is stopped: nothing is lost, nothing comes twice, and what
 * they read goes to others within the lease.
 *
 * Every process appends to a topic of four partitions and moves records of that topic to a second one, in transactions,
 * as a member of one group. After each blow markers are appended; that they arrive shows that the others took over.
 */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { Duration } from '../time/duration.ts'
import type { LogClient, LogClientConsumer } from './log-client.ts'
import { now, pause, type Read, range, readAll, SLACK, text } from './log-reading.ts'
import { seededRandom } from './sim-random.ts'

/** A process with a handle of the log. */
export interface LogContractProcess {
  readonly log: LogClient
  /** Ends the process at once, as kill -9 does. Calls under way reject; so do later ones. */
  kill(): Promise<void>
  /** Stops it, as SIGSTOP does: its calls stay open. */
  stop(): Promise<void> | void
  resume(): Promise<void> | void
}

export interface LogKillsOptions {
  /** A handle that is not killed, of a log without topics whose names begin with `contract`. */
  readonly log: LogClient
  readonly process: () => Promise<LogContractProcess>
  /** Default 1: the moments of the blows and their victims, as far as they are ours. */
  readonly seed?: number
  /** Default 5. */
  readonly kills?: number
  /** Default 4. */
  readonly processes?: number
  /** Lease of group members. Default 1000. */
  readonly leaseMs?: number
  /** How long one process is stopped, after half of the kills. Default three leases. */
  readonly stopMs?: number
}

export interface LogKillsReport {
  readonly kills: number
  readonly stops: number
  /** Records that were found in the first topic; each was moved once. */
  readonly records: number
  /** Of them, those whose append was acknowledged before a blow, and is checked offset by offset. */
  readonly acknowledged: number
  /** Appends and transactions that a blow cut off under way. */
  readonly cutOff: number
  /** Longest time from a blow to the last marker that others moved. */
  readonly takeOverMsMax: number
}

const IN = 'contract-kills-in'
const OUT = 'contract-kills-out'
const PARTITIONS = 4
/** So many that every partition has some. */
const KEYS = 40
/** Records of one append. */
const RECORDS = 3
/** Between appends of one process: so short that blows fall on appends under way. */
const PACE_MS = 1
/** The same while one is stopped for long. */
const SLOW_PACE_MS = 50
const QUIET_MS = 300
const END_MS = 60_000

/** @throws AssertionError that says what was lost, came twice or too late */
export async function logUnderKills(options: LogKillsOptions): Promise<LogKillsReport> {
  const { log, seed = 1, kills = 5, processes = 4, leaseMs = 1000, stopMs = 3 * leaseMs } = options
  const random = seededRandom(seed)
  await log.admin.createTopic(IN, { partitions: PARTITIONS, retention: 'forever' })
  await log.admin.createTopic(OUT, { partitions: 2, retention: 'forever' })
  const check = new Check(log, leaseMs)
  const start = async (slot: number): Promise<Worker> =>
    new Worker(await options.process(), slot, check, `${leaseMs}ms`)
  const workers = await Promise.all(range(0, processes).map(start))
  try {
    let stops = 0
    for (let kill = 0; kill < kills; kill++) {
      await check.progress(workers)
      await pause(random.int(200))
      const slot = random.int(processes)
      await workers[slot].kill()
      await check.takeOver(`kill ${kill + 1}`)
      workers[slot] = await start(slot)
      if (kill === kills >> 1 || kills === 1) {
        await check.progress(workers)
        await stopOne(workers[random.int(processes)], check, stopMs)
        stops++
      }
    }
    await check.progress(workers)
    for (const worker of workers) worker.appends = false
    return { kills, stops, ...(await check.end()) }
  } finally {
    for (const worker of workers) await worker.kill()
  }
}

/** Others take over what it reads, go on without it for `stopMs`, and it comes back without harm. */
async function stopOne(worker: Worker, check: Check, stopMs: number): Promise<void> {
  const until = now() + stopMs
  await worker.stop()
  await check.takeOver('stop')
  check.paceMs = SLOW_PACE_MS
  while (now() < until) {
    await pause(Math.min(1000, until - now()))
    await check.takeOver('stop')
  }
  check.paceMs = PACE_MS
  await worker.resume()
  await check.progress([worker])
}

/** What one process does, driven from here, until it is killed. */
class Worker {
  appends = true
  /** Appends that were acknowledged and transactions that were committed since the last look. */
  appended = 0
  moved = 0
  readonly #process: LogContractProcess
  readonly #check: Check
  readonly #name: string
  readonly #slot: number
  readonly #lease: Duration
  #isKilled = false
  /** Appends and transactions that were begun and not answered. */
  #underWay = 0
  readonly #loops: Promise<void>[]

  constructor(process: LogContractProcess, slot: number, check: Check, lease: Duration) {
    this.#process = process
    this.#check = check
    this.#slot = slot
    this.#lease = lease
    this.#name = check.nameOf(slot)
    this.#loops = [this.#append(), this.#move()]
    // Awaited in `kill`.
    for (const loop of this.#loops) loop.catch(() => {})
  }

  /** Resolves when its loops have ended. @throws what ended them before the blow */
  async kill(): Promise<void> {
    if (this.#isKilled) return
    this.#isKilled = true
    this.#check.cutOff += this.#underWay
    await this.#process.kill()
    await Promise.all(this.#loops)
  }

  async stop(): Promise<void> {
    await this.#process.stop()
  }

  async resume(): Promise<void> {
    await this.#process.resume()
  }

  async #append(): Promise<void> {
    await this.#untilKilled(async () => {
      const producer = await this.#process.log.producer()
      for (let n = 0; !this.#isKilled; n += RECORDS) {
        while (!this.appends && !this.#isKilled) await pause(SLOW_PACE_MS)
        const records = range(n, n + RECORDS).map((i) => ({
          topic: IN,
          key: `k${i % KEYS}`,
          value: `${this.#name}:${i}`,
        }))
        const places = await this.#counted(producer.send(records))
        for (const [i, { partition, offset }] of places.entries())
          this.#check.acknowledged.set(records[i].value, `${partition}/${offset}`)
        this.appended++
        await pause(this.#check.paceMs)
      }
    })
  }

  async #move(): Promise<void> {
    await this.#untilKilled(async () => {
      const { log } = this.#process
      const producer = await log.producer({ transactionalId: `contract-mover-${this.#slot}` })
      let consumer: LogClientConsumer | undefined
      while (!this.#isKilled) {
        consumer ??= await log.consumer({ topics: [IN], group: 'contract-movers', lease: this.#lease })
        const records = await consumer.poll({ maxRecords: 50, wait: '100ms' })
        if (records.length === 0) continue
        await producer.begin()
        try {
          await producer.send(records.map(({ key, value }) => ({ topic: OUT, key, value })))
          await producer.sendOffsets(consumer)
          await this.#counted(producer.commit())
          this.moved++
        } catch {
          // Others have read on meanwhile, or nobody knows: where the group goes on is what its offsets say.
          if (this.#isKilled) return
          await producer.abort().catch(() => {})
          await consumer.close().catch(() => {})
          consumer = undefined
        }
      }
    })
  }

  async #counted<R>(call: Promise<R>): Promise<R> {
    this.#underWay++
    try {
      return await call
    } finally {
      this.#underWay--
    }
  }

  async #untilKilled(body: () => Promise<void>): Promise<void> {
    try {
      await body()
    } catch (thrown) {
      if (!this.#isKilled) throw thrown
    }
  }
}

/** Knows what was acknowledged, follows what arrives. */
class Check {
  /** Value -> partition and offset that the append was told. */
  readonly acknowledged = new Map<string, string>()
  paceMs = PACE_MS
  cutOff = 0
  readonly #log: LogClient
  readonly #leaseMs: number
  readonly #arrived: string[] = []
  readonly #seen = new Set<string>()
  #out: LogClientConsumer | undefined
  #producer: Awaited<ReturnType<LogClient['producer']>> | undefined
  #lives = 0
  #markers = 0
  #takeOverMsMax = 0

  constructor(log: LogClient, leaseMs: number) {
    this.#log = log
    this.#leaseMs = leaseMs
  }

  /** No two lives of a process append the same values. */
  nameOf(slot: number): string {
    return `${slot}.${this.#lives++}`
  }

  /** Each of them has appended and one of them has moved something since the last look: blows fall on processes at work. */
  async progress(workers: readonly Worker[]): Promise<void> {
    for (const worker of workers) {
      worker.appended = 0
      worker.moved = 0
    }
    await this.#within(END_MS, 'every process appends, one moves', async () => {
      await this.#follow()
      return workers.every((worker) => worker.appended > 0) && workers.some((worker) => worker.moved > 0)
    })
  }

  /** A marker of every partition comes out, moved by those who live, within the lease. */
  async takeOver(what: string): Promise<void> {
    const from = now()
    this.#producer ??= await this.#log.producer()
    const values = range(0, PARTITIONS).map((partition) => `m${partition}:${this.#markers}`)
    this.#markers++
    const places = await this.#producer.send(
      values.map((value, partition) => ({ topic: IN, partition, key: 'marker', value })),
    )
    for (const [i, { partition, offset }] of places.entries())
      this.acknowledged.set(values[i], `${partition}/${offset}`)
    const bound = this.#leaseMs * SLACK
    await this.#within(bound, `after ${what}, others read on in all partitions`, async () => {
      await this.#follow()
      return values.every((value) => this.#seen.has(value))
    })
    this.#takeOverMsMax = Math.max(this.#takeOverMsMax, now() - from)
  }

  /** Waits until everything was moved, and compares. */
  async end(): Promise<Omit<LogKillsReport, 'kills' | 'stops'>> {
    let records: Read[number][] = []
    await this.#within(END_MS, 'the appends come to rest', async () => {
      const before = await this.#count()
      await pause(QUIET_MS)
      return before === (await this.#count())
    })
    const reader = await this.#log.consumer({ topics: [IN] })
    records = await readAll(reader, await this.#count())
    await reader.close()
    for (const partition of range(0, PARTITIONS)) {
      const offsets = records.filter((r) => r.partition === partition).map((r) => r.offset)
      deepStrictEqual(offsets, range(0, offsets.length), 'offsets follow each other without a gap')
    }
    const values = records.map((record) => String(text(record.value)))
    strictEqual(new Set(values).size, values.length, 'no append is stored twice')
    const places = new Map(records.map((r) => [String(text(r.value)), `${r.partition}/${r.offset}`]))
    for (const [value, place] of this.acknowledged)
      strictEqual(places.get(value), place, `the acknowledged record ${value} lies where its append was told`)
    inOrder(values, records)
    await this.#within(END_MS, 'everything is moved', async () => {
      await this.#follow()
      return this.#seen.size >= values.length
    })
    // Time for what comes twice to show.
    await pause(QUIET_MS)
    await this.#follow()
    deepStrictEqual([...this.#arrived].sort(), [...values].sort(), 'every record was moved once')
    this.#sameOrderPerKey(records)
    return {
      records: values.length,
      acknowledged: this.acknowledged.size,
      cutOff: this.cutOff,
      takeOverMsMax: Math.round(this.#takeOverMsMax),
    }
  }

  readonly #order = new Map<string, string[]>()

  async #follow(): Promise<void> {
    this.#out ??= await this.#log.consumer({ topics: [OUT] })
    for (const record of await this.#out.poll({ maxRecords: 1000, wait: '20ms' })) {
      const value = String(text(record.value))
      this.#arrived.push(value)
      this.#seen.add(value)
      const key = String(text(record.key))
      const ofKey = this.#order.get(key) ?? []
      this.#order.set(key, ofKey)
      ofKey.push(value)
    }
  }

  /** Markers have one key in all partitions, so their order is not promised. */
  #sameOrderPerKey(records: readonly Read[number][]): void {
    for (const [key, moved] of this.#order) {
      if (key === 'marker') continue
      const appended = records.filter((r) => text(r.key) === key).map((r) => text(r.value))
      deepStrictEqual(moved, appended, `records with the key ${key} were moved in their order`)
    }
  }

  async #count(): Promise<number> {
    const { partitions } = await this.#log.admin.describe(IN)
    return partitions.reduce((sum, { first, next }) => sum + next - first, 0)
  }

  async #within(ms: number, what: string, isTrue: () => Promise<boolean>): Promise<void> {
    for (const deadline = now() + ms; !(await isTrue()); ) ok(now() < deadline, `${what}: not within ${ms} ms`)
  }
}

/** What one life of a process appended to a partition lies there in the order in which it was sent. */
function inOrder(values: readonly string[], records: readonly Read[number][]): void {
  const last = new Map<string, number>()
  for (const [i, value] of values.entries()) {
    const [life, number] = value.split(':')
    const lane = `${life} ${records[i].partition}`
    ok(Number(number) > (last.get(lane) ?? -1), `${value} comes behind a later append of the same process`)
    last.set(lane, Number(number))
  }
}
