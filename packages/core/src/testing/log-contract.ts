/** The contract of logs as checks: what the embedded log, and every client of another one, is run against. */
import { deepStrictEqual, ok, rejects, strictEqual } from 'node:assert/strict'
import type { Duration } from '../time/duration.ts'
import { type Closable, type ContractCheck, check } from './contract.ts'
import type { LogClient, LogClientProducer } from './log-client.ts'
import { type LogContractProcess, logUnderKills } from './log-kills.ts'
import { now, number, numbers, pause, range, readAll, SLACK, text, until } from './log-reading.ts'

/** A log of its own for one check, without topics whose names begin with `contract`. */
export interface LogFixture extends Closable {
  readonly log: LogClient
  /** Another handle of the same log, best of another process. */
  readonly second: () => Promise<LogClient>
  /**
   * Sends the producer's last append once more, as after a lost acknowledgement. Leave it out where nothing can do that
   * from outside: the check then says that it was not made.
   */
  readonly resendLast?: (producer: LogClientProducer) => Promise<void>
  /** A process with a handle of the same log. Leave it out where nothing can be killed from outside. */
  readonly process?: () => Promise<LogContractProcess>
}

export interface LogContractOptions {
  readonly open: () => Promise<LogFixture> | LogFixture
  /** The implementation's own bounds, in ms; checks allow for five times as much on a busy machine. */
  readonly withinMs?: {
    /** From an append to a waiting reader. Default 100. */
    readonly wake?: number
    /** Lease of group members in these checks. Default 1000. */
    readonly lease?: number
    /** Until retention and compaction have run. Default 1000. */
    readonly upkeep?: number
  }
  /** 2 or 4: handles that append and read at once. Default 2. */
  readonly handles?: 2 | 4
  /** Processes killed in the check with kills, 4 being at work; `logUnderKills` alone is for more. Default 5. */
  readonly kills?: number
  /** Told of a check that cannot be made here. Default: nothing. */
  readonly skipped?: (check: string, why: string) => void
}

const TOPIC = 'contract'

/** The promises of a log. With vitest: `for (const check of logContract(name, options)) test(check.name, check.run)` */
export function logContract(name: string, options: LogContractOptions): readonly ContractCheck[] {
  const { wake = 100, lease = 1000, upkeep = 1000 } = options.withinMs ?? {}
  const { handles: handleCount = 2, kills = 5 } = options
  const leaseText: Duration = `${lease}ms`
  const promise = (text: string, body: (fixture: LogFixture) => Promise<void>): ContractCheck =>
    check(`${name}: ${text}`, options.open, body)
  const skip = (text: string, why: string): void => options.skipped?.(`${name}: ${text}`, why)

  return [
    promise('topics are listed, described, and made once', async ({ log }) => {
      await log.admin.createTopic(TOPIC, { partitions: 3 })
      ok((await log.admin.listTopics()).includes(TOPIC), 'the new topic is listed')
      const { partitions } = await log.admin.describe(TOPIC)
      deepStrictEqual(
        partitions.map(({ partition, first, next }) => ({ partition, first, next })),
        [0, 1, 2].map((partition) => ({ partition, first: 0, next: 0 })),
      )
      await rejects(log.admin.createTopic(TOPIC), 'a topic is made once')
      const producer = await log.producer()
      await rejects(producer.send([{ topic: 'contract-unknown', value: 'x' }]), 'unknown topics are refused')
    }),

    promise('records come back as they were sent, with dense offsets, in order per partition', async ({ log }) => {
      await log.admin.createTopic(TOPIC, { partitions: 2 })
      const producer = await log.producer()
      const sent = Array.from({ length: 50 }, (_, i) => ({
        topic: TOPIC,
        partition: i % 2,
        key: i % 5 === 0 ? null : Buffer.from([i, 0, 255]),
        value: i % 7 === 0 ? null : i % 7 === 1 ? '' : `value é ${i}`,
        headers: i % 3 === 0 ? { trace: Buffer.from([i]), kind: 'text' } : {},
        timestamp: 1_700_000_000_000 - i,
      }))
      const places = [...(await producer.send(sent.slice(0, 20))), ...(await producer.send(sent.slice(20)))]
      deepStrictEqual(
        places.map((p) => [p.partition, p.offset]),
        sent.map((_, i) => [i % 2, i >> 1]),
      )
      const consumer = await log.consumer({ topics: [TOPIC] })
      const read = await readAll(consumer, sent.length)
      for (const partition of [0, 1]) {
        const expected = sent.filter((_, i) => i % 2 === partition)
        const got = read.filter((r) => r.partition === partition)
        strictEqual(got.length, expected.length)
        for (const [i, record] of got.entries()) {
          const { key, value, headers, timestamp } = expected[i]
          strictEqual(record.offset, i, 'offsets follow each other')
          strictEqual(record.timestamp, timestamp)
          deepStrictEqual(text(record.key), text(key))
          deepStrictEqual(text(record.value), text(value))
          deepStrictEqual(
            record.headers.map((h) => [h.name, text(h.value)]),
            Object.entries(headers).map(([n, v]) => [n, text(v as Uint8Array)]),
          )
        }
      }
    }),

    promise('equal keys lie in the partition that murmur2 gives', async ({ log }) => {
      await log.admin.createTopic(TOPIC, { partitions: 10 })
      const producer = await log.producer()
      // Of Kafka's own tests: murmur2("foobar") = -790332482, of "a-little-bit-long-string" = -985981536, of "21" = -973932308.
      const keys = ['foobar', 'a-little-bit-long-string', '21']
      const places = await producer.send(keys.map((key) => ({ topic: TOPIC, key, value: 'x' })))
      deepStrictEqual(
        places.map((p) => p.partition),
        [-790_332_482, -985_981_536, -973_932_308].map((hash) => (hash & 0x7fffffff) % 10),
      )
    }),

    promise('a reader can begin at any offset', async ({ log }) => {
      await log.admin.createTopic(TOPIC)
      const producer = await log.producer()
      for (let i = 0; i < 12; i += 4) await producer.send(values(i, i + 4))
      const consumer = await log.consumer({ topics: [TOPIC] })
      await readAll(consumer, 12)
      for (let offset = 0; offset < 12; offset++) {
        await consumer.seek(TOPIC, 0, offset)
        const read = await readAll(consumer, 12 - offset)
        deepStrictEqual(numbers(read), range(offset, 12))
      }
      await consumer.seek(TOPIC, 0, 5)
      deepStrictEqual(numbers(await consumer.poll({ maxRecords: 2 })), [5, 6], 'no more than were asked for')
      deepStrictEqual(numbers(await consumer.poll({ maxRecords: 1 })), [7])
    }),

    promise('offsets are found by the time of records, whatever their order', async ({ log }) => {
      await log.admin.createTopic(TOPIC, { partitions: 2, retention: 'forever' })
      const producer = await log.producer()
      const times = [10, 30, 20, 20, 50, 40, 40, 60]
      for (let i = 0; i < times.length; i += 2) {
        await producer.send(
          times
            .slice(i, i + 2)
            .map((t) => ({ topic: TOPIC, partition: 0, value: 'x', timestamp: 1_700_000_000_000 + t })),
        )
      }
      for (const time of [0, 10, 11, 20, 30, 31, 50, 51, 60, 61]) {
        const offsets = await log.admin.offsetsForTimes(TOPIC, 1_700_000_000_000 + time)
        const first = times.findIndex((t) => t >= time)
        deepStrictEqual(
          [...offsets].sort((a, b) => a.partition - b.partition).map(({ offset }) => offset),
          [first < 0 ? times.length : first, 0],
          `the first record at or after ${time}`,
        )
      }
    }),

    promise('a waiting reader is woken by an append through another handle', async ({ log, second }) => {
      await log.admin.createTopic(TOPIC)
      const other = await second()
      const producer = await other.producer()
      await producer.send(values(0, 1))
      const consumer = await log.consumer({ topics: [TOPIC] })
      await readAll(consumer, 1)
      const took: number[] = []
      for (let i = 1; i <= 9; i++) {
        const polled = consumer.poll({ wait: '20s' })
        await pause(30)
        await producer.send(values(i, i + 1))
        const acknowledged = now()
        deepStrictEqual(numbers(await polled), [i])
        took.push(now() - acknowledged)
      }
      took.sort((a, b) => a - b)
      ok(took[4] <= wake * SLACK, `half of the records came later than ${took[4]} ms after their acknowledgement`)
      const before = now()
      deepStrictEqual(await consumer.poll({ wait: '50ms' }), [], 'nothing comes, nothing is given')
      ok(now() - before >= 45, 'poll waits as long as it is told to')
      await other.close()
    }),

    promise('handles that append and read at once lose nothing and see one order', async ({ log, second }) => {
      await log.admin.createTopic(TOPIC, { partitions: 2 })
      const handles = [log, ...(await handlesOf(second, handleCount - 1))]
      const each = 60
      const writing = handles.map(async (handle, h) => {
        const producer = await handle.producer()
        for (let i = 0; i < each; i += 3)
          await producer.send(range(i, i + 3).map((n) => ({ topic: TOPIC, partition: n % 2, value: `${h}:${n}` })))
      })
      const reading = handles.map(async (handle) =>
        readAll(await handle.consumer({ topics: [TOPIC] }), each * handles.length),
      )
      await Promise.all(writing)
      const [mine, ...others] = (await Promise.all(reading)).map((read) =>
        [0, 1].map((p) => read.filter((r) => r.partition === p).map((r) => [r.offset, text(r.value)])),
      )
      for (const other of others) deepStrictEqual(mine, other, 'all readers saw one order')
      for (const partition of [0, 1]) {
        deepStrictEqual(
          mine[partition].map(([offset]) => offset),
          range(0, (each / 2) * handles.length),
        )
        for (const h of handles.keys()) {
          deepStrictEqual(
            mine[partition].map(([, value]) => String(value)).filter((value) => value.startsWith(`${h}:`)),
            range(0, each)
              .filter((n) => n % 2 === partition)
              .map((n) => `${h}:${n}`),
            "a producer's records keep their order",
          )
        }
      }
      for (const other of handles.slice(1)) await other.close()
    }),

    promise('deleted records are gone, the others keep their offsets', async ({ log }) => {
      await log.admin.createTopic(TOPIC)
      const producer = await log.producer()
      for (let i = 0; i < 12; i += 4) await producer.send(values(i, i + 4))
      strictEqual(await log.admin.deleteRecords(TOPIC, 0, 6), 6)
      strictEqual((await log.admin.describe(TOPIC)).partitions[0].first, 6)
      const consumer = await log.consumer({ topics: [TOPIC] })
      deepStrictEqual(
        (await readAll(consumer, 6)).map((r) => [r.offset, number(r)]),
        range(6, 12).map((n) => [n, n]),
      )
      strictEqual(await log.admin.deleteRecords(TOPIC, 0, 12), 12)
      deepStrictEqual((await producer.send(values(12, 13)))[0].offset, 12, 'offsets go on')
    }),

    promise(
      'retention by bytes and by age removes the oldest records, and no newer one before an older',
      async ({ log }) => {
        await log.admin.createTopic(TOPIC, { retentionBytes: 4000, retention: 'forever' })
        await log.admin.createTopic('contract-age', { retention: `${upkeep}ms` })
        const producer = await log.producer()
        for (let i = 0; i < 20; i++) await producer.send([{ topic: TOPIC, value: String(i).padEnd(1000, ' ') }])
        await producer.send([{ topic: 'contract-age', value: '0' }])
        await until(upkeep * (SLACK + 1), 'retention', async () => {
          const [bytes] = (await log.admin.describe(TOPIC)).partitions
          const [age] = (await log.admin.describe('contract-age')).partitions
          return bytes.first >= 15 && age.first === 1
        })
        const [{ first, next }] = (await log.admin.describe(TOPIC)).partitions
        strictEqual(next, 20)
        ok(first < 20, 'the newest records stay')
        deepStrictEqual(numbers(await readAll(await log.consumer({ topics: [TOPIC] }), 20 - first)), range(first, 20))
        strictEqual((await producer.send([{ topic: 'contract-age', value: '1' }]))[0].offset, 1, 'offsets go on')
      },
    ),

    promise('compaction keeps the newest record of each key, at its offset', async ({ log }) => {
      await log.admin.createTopic(TOPIC, { compact: true })
      const producer = await log.producer()
      for (let i = 0; i < 40; i += 4)
        await producer.send(range(i, i + 4).map((n) => ({ topic: TOPIC, key: `k${n % 8}`, value: String(n) })))
      await until(upkeep * SLACK, 'compaction', async () => {
        const consumer = await log.consumer({ topics: [TOPIC] })
        const read = await consumer.poll({ wait: `${wake * SLACK}ms`, maxRecords: 100 })
        await consumer.close()
        const newest = new Map(read.map((r) => [text(r.key), r.offset]))
        deepStrictEqual(
          [...newest.values()].sort((a, b) => a - b),
          range(32, 40),
          'the newest are never lost',
        )
        for (const record of read) strictEqual(number(record), record.offset, 'offsets stay')
        return read.length === 8
      })
      await producer.send([{ topic: TOPIC, key: 'k0', value: '40' }])
      const consumer = await log.consumer({ topics: [TOPIC] })
      const read = await readAll(consumer, 9)
      strictEqual(number(read[8]), 40, 'readers pass over what is gone')
    }),

    promise('an append that is sent again is stored once', async ({ log, resendLast }) => {
      if (resendLast === undefined) return skip('an append that is sent again is stored once', 'no fixture.resendLast')
      await log.admin.createTopic(TOPIC, { partitions: 2 })
      const producer = await log.producer()
      for (let i = 0; i < 6; i += 2) {
        await producer.send(values(i, i + 2).map((record, n) => ({ ...record, partition: n })))
        await resendLast(producer)
        await resendLast(producer)
      }
      const read = await readAll(await log.consumer({ topics: [TOPIC] }), 6)
      deepStrictEqual(numbers(read).sort(), range(0, 6))
      deepStrictEqual(
        (await log.admin.describe(TOPIC)).partitions.map((p) => p.next),
        [3, 3],
      )
    }),

    promise('a transaction is visible whole, with its offsets, or not at all', async ({ log, second }) => {
      await log.admin.createTopic(TOPIC, { partitions: 2 })
      await log.admin.createTopic('contract-in')
      await (await log.producer()).send(values(0, 5, 'contract-in'))
      const input = await log.consumer({ topics: ['contract-in'], group: 'contract-g', lease: '30s' })
      strictEqual((await readAll(input, 5)).length, 5)
      const reader = await (await second()).consumer({ topics: [TOPIC] })
      const producer = await log.producer({ transactionalId: 'contract-tx' })
      const both = (n: number) => [0, 1].map((partition) => ({ topic: TOPIC, partition, value: String(n) }))

      await producer.begin()
      await producer.send(both(1))
      await producer.sendOffsets(input)
      deepStrictEqual(await reader.poll({ wait: `${wake}ms` }), [], 'an open transaction is not read')
      await producer.abort()
      deepStrictEqual(await reader.poll({ wait: `${wake}ms` }), [], 'an aborted one neither')
      strictEqual(
        (await log.admin.offsets('contract-g')).find((o) => o.committed === 5),
        undefined,
      )

      await producer.begin()
      await producer.send(both(2))
      await producer.send(both(3))
      // Written while the transaction is open: readers may see it, but nothing of the transaction.
      await (await log.producer()).send([{ topic: TOPIC, partition: 0, value: '9' }])
      for (const record of await reader.poll({ wait: `${wake}ms` })) strictEqual(number(record), 9)
      await producer.sendOffsets(input)
      await producer.commit()
      const all = await readAll(await log.consumer({ topics: [TOPIC] }), 5)
      for (const partition of [0, 1]) {
        const seen = numbers(all.filter((r) => r.partition === partition))
        deepStrictEqual(
          seen.filter((n) => n !== 9),
          [2, 3],
        )
      }
      strictEqual((await log.admin.offsets('contract-g'))[0].committed, 5, 'offsets are committed with it')
      await rejects(producer.commit(), 'a transaction is committed once')
    }),

    promise('a later producer with the same transactional id fences the earlier one', async ({ log, second }) => {
      await log.admin.createTopic(TOPIC)
      const other = await second()
      const first = await log.producer({ transactionalId: 'contract-tx' })
      await first.begin()
      await first.send(values(0, 1))
      const next = await other.producer({ transactionalId: 'contract-tx' })
      await next.begin()
      await next.send(values(1, 2))
      await rejects(first.commit(), 'the earlier producer is fenced')
      await next.commit()
      deepStrictEqual(numbers(await readAll(await log.consumer({ topics: [TOPIC] }), 1)), [1])
      await rejects(async () => {
        await first.begin()
        await first.send(values(2, 3))
        await first.commit()
      }, 'it stays fenced')
      await other.close()
    }),

    promise('a group goes on behind what it has committed', async ({ log }) => {
      await log.admin.createTopic(TOPIC)
      await (await log.producer()).send(values(0, 10))
      const first = await log.consumer({ topics: [TOPIC], group: 'contract-g', lease: leaseText })
      strictEqual((await first.poll({ maxRecords: 4, wait: waitOf(lease) })).length, 4)
      await first.commit()
      strictEqual((await log.admin.offsets('contract-g'))[0].committed, 4)
      strictEqual((await first.poll({ maxRecords: 3, wait: waitOf(lease) })).length, 3)
      await first.close()
      const later = await log.consumer({ topics: [TOPIC], group: 'contract-g', lease: leaseText })
      deepStrictEqual(numbers(await readAll(later, 6)), range(4, 10), 'what was not committed is read again')
      const latest = await log.consumer({ topics: [TOPIC], group: 'contract-new', from: 'latest', lease: leaseText })
      deepStrictEqual(await latest.poll({ wait: '20ms' }), [])
    }),

    promise(
      'members share the partitions; each has one reader, nothing committed is read twice',
      async ({ log, second }) => {
        await log.admin.createTopic(TOPIC, { partitions: 4 })
        const others = await handlesOf(second, handleCount - 1)
        const options = { topics: [TOPIC], group: 'contract-g', lease: leaseText }
        const members = await Promise.all([log, ...others].map((handle) => handle.consumer(options)))
        await until(lease * SLACK * 2, 'all members have as many partitions', async () => {
          for (const member of members) await member.poll({ wait: '5ms' })
          return members.every((member) => member.assignment().length === 4 / members.length)
        })
        deepStrictEqual(
          members.flatMap((m) => m.assignment().map((a) => a.partition)).sort(),
          [0, 1, 2, 3],
          'each partition has one reader',
        )
        await (await log.producer()).send(
          range(0, 40).map((n) => ({ topic: TOPIC, partition: n % 4, value: String(n) })),
        )
        const read: number[] = []
        await until(lease * SLACK * 2, 'everything is read', async () => {
          for (const member of members) {
            read.push(...numbers(await member.poll({ wait: '5ms' })))
            await member.commit()
          }
          return read.length >= 40
        })
        deepStrictEqual(
          read.sort((a, b) => a - b),
          range(0, 40),
        )
        for (const member of members.slice(1)) await member.close()
        await until(lease * SLACK * 2, 'the one that stays has everything', async () => {
          deepStrictEqual(await members[0].poll({ wait: '5ms' }), [], 'what was committed is not read again')
          return members[0].assignment().length === 4
        })
        for (const other of others) await other.close()
      },
    ),

    promise(
      'what a member read before its partition went to another one cannot be committed',
      async ({ log, second }) => {
        await log.admin.createTopic(TOPIC, { partitions: 2 })
        await (await log.producer()).send(
          range(0, 10).map((n) => ({ topic: TOPIC, partition: n % 2, value: String(n) })),
        )
        const options = { topics: [TOPIC], group: 'contract-g', lease: leaseText }
        const first = await log.consumer(options)
        strictEqual((await readAll(first, 10)).length, 10)
        const other = await second()
        const next = await other.consumer(options)
        // The first member deals with what it has by polling on, without committing: its claim to one partition ends.
        const read: number[] = []
        await until(lease * SLACK * 2, 'the new member has a partition', async () => {
          read.push(...numbers(await next.poll({ wait: '5ms' })))
          if (read.length < 5) await first.poll({ wait: '5ms' })
          return read.length >= 5
        })
        strictEqual(read.length, 5)
        await next.commit()
        await first.commit().catch(() => {})
        const committed = await log.admin.offsets('contract-g')
        deepStrictEqual(
          committed.map((o) => o.committed).filter((n) => n !== 0 && n !== 5),
          [],
          'a partition is committed by its owner, whole',
        )
        await other.close()
      },
    ),

    promise('partitions of a member that died are read by others within the lease', async ({ log, process }) => {
      if (process === undefined)
        return skip('partitions of a member that died are read by others within the lease', 'no fixture.process')
      await log.admin.createTopic(TOPIC, { partitions: 2 })
      const options = { topics: [TOPIC], group: 'contract-g', lease: leaseText }
      const alive = await log.consumer(options)
      await alive.poll({ wait: '5ms' })
      const dying = await process()
      const member = await dying.log.consumer(options)
      await until(lease * SLACK * 4, 'the other one has joined', async () => {
        await alive.poll({ wait: '5ms' })
        await member.poll({ wait: '5ms' })
        return member.assignment().length > 0
      })
      const diedAt = now()
      await dying.kill()
      await (await log.producer()).send(range(0, 6).map((n) => ({ topic: TOPIC, partition: n % 2, value: String(n) })))
      const read = await readAll(alive, 6)
      deepStrictEqual(numbers(read).sort(), range(0, 6))
      const took = now() - diedAt
      ok(took <= lease * SLACK, `it took ${took} ms, the lease is ${lease} ms`)
      await alive.commit()
    }),

    promise(KILLS, async ({ log, process }) => {
      if (process === undefined) return skip(KILLS, 'no fixture.process')
      await logUnderKills({ log, process, kills, leaseMs: lease })
    }),
  ]
}

const KILLS = 'four processes append and move at once, are killed and stopped: nothing is lost, nothing comes twice'

const handlesOf = (second: LogFixture['second'], count: number): Promise<LogClient[]> =>
  Promise.all(Array.from({ length: count }, second))

const waitOf = (lease: number): Duration => `${lease * SLACK}ms`

function values(from: number, to: number, topic = TOPIC) {
  return range(from, to).map((n) => ({ topic, partition: 0, value: String(n) }))
}
