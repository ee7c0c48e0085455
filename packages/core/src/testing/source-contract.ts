/** The contract of sources as checks: what every connector's source is run against. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict'
import type { Position, Source, SourceContext, SourceReader } from '../connector.ts'
import type { Disk } from '../runtime/ports.ts'
import { type Closable, type ContractCheck, check, type RejectedRecord, sourceContext } from './contract.ts'

/** A source over data that is known. */
export interface SourceFixture<T> extends Closable {
  readonly source: Source<T>
  /** What each partition gives, in order; at least one partition must have 3 rows or more. */
  readonly rows: Readonly<Record<string, readonly T[]>>
  /** How many records of each partition are rejected; default none. */
  readonly rejected?: Readonly<Record<string, number>>
  /** Default: the real disk. */
  readonly disk?: Disk
}

export interface SourceContractOptions<T> {
  /** Makes a fixture for one check; always the same data. */
  readonly make: () => Promise<SourceFixture<T>> | SourceFixture<T>
  /** Largest number of rows asked for at once, besides everything. Default 7. */
  readonly maxRows?: number
}

/** Reads that may come back without rows before a reader counts as stuck. */
const MAX_EMPTY_READS = 1000

/**
 * The promises of `Source` and `SourceReader`, for a source whose data is known.
 * @example sourceContract('array', { make: () => ({ source: arraySource([1, 2, 3]), rows: { '0': [1, 2, 3] } }) }).length // => 9
 */
export function sourceContract<T>(name: string, options: SourceContractOptions<T>): readonly ContractCheck[] {
  const { make, maxRows = 7 } = options
  const promise = (text: string, body: (source: Probe<T>) => Promise<void>): ContractCheck =>
    check(`${name}: ${text}`, make, (fixture) => body(new Probe(fixture)))

  return [
    promise('names the same partitions every time', async (probe) => {
      const { source, rows } = probe.fixture
      const first = await source.partitions(probe.ctx)
      deepStrictEqual([...first].sort(), Object.keys(rows).sort(), 'partitions() names the partitions of the data')
      deepStrictEqual(await source.partitions(probe.ctx), first, 'a second call gives the same names in the same order')
    }),

    promise('describes itself with plain values', async ({ fixture: { source } }) => {
      ok(source.kind.length > 0, 'kind is not empty')
      const described = source.describe()
      deepStrictEqual(JSON.parse(JSON.stringify(described)), described, 'describe() survives JSON')
    }),

    promise(`gives every row once and in order, asked for 1 to ${maxRows} rows at a time`, async (probe) => {
      for (const partition of probe.partitions) {
        for (let n = 1; n <= maxRows; n++) {
          const { rows } = await probe.readAll(partition, undefined, n)
          deepStrictEqual(rows, probe.fixture.rows[partition], `partition ${partition}, maxRows ${n}`)
        }
      }
    }),

    promise('gives no more rows than were asked for', async (probe) => {
      for (const partition of probe.partitions) {
        for (const batch of (await probe.readAll(partition, undefined, 2)).batches)
          ok(batch.count <= 2, `${batch.count} rows instead of 2`)
      }
    }),

    promise(`goes on exactly behind the position of every batch, cut anywhere`, async (probe) => {
      for (const partition of probe.partitions) {
        const expected = probe.fixture.rows[partition]
        for (let n = 1; n <= maxRows; n++) {
          const { batches } = await probe.readAll(partition, undefined, n)
          let seen = 0
          for (const { count, next } of batches) {
            seen += count
            // As the runtime keeps it: in JSON.
            const kept = JSON.parse(JSON.stringify(next)) as Position
            const { rows } = await probe.readAll(partition, kept, maxRows)
            deepStrictEqual(rows, expected.slice(seen), `partition ${partition} reopened at ${JSON.stringify(next)}`)
          }
        }
      }
    }),

    promise('rejects each bad record once, on one side of every position, and loses no neighbour', async (probe) => {
      for (const partition of probe.partitions) {
        const expected = probe.fixture.rejected?.[partition] ?? 0
        const whole = await probe.readAll(partition, undefined, 1)
        strictEqual(whole.rejected.length, expected, `partition ${partition} rejects ${expected}`)
        for (const bad of whole.rejected) {
          strictEqual(bad.partition, partition, 'a rejected record names its partition')
          ok(/^[A-Z][A-Z0-9_]+$/.test(bad.code), `a rejection has a code: ${bad.code}`)
          ok(bad.message.length > 0, 'a rejection has a message')
        }
        for (const { next, rejectedBefore } of whole.batches) {
          const after = await probe.readAll(partition, next, 1)
          strictEqual(
            rejectedBefore + after.rejected.length,
            expected,
            `a restart at ${JSON.stringify(next)} rejects what lies behind it, once`,
          )
        }
      }
    }),

    promise("says 'end' for good, and only behind the last position", async (probe) => {
      if (probe.fixture.source.bounded !== true) return
      for (const partition of probe.partitions) {
        const { batches } = await probe.readAll(partition, undefined, 3)
        const last = batches.at(-1)
        if (last !== undefined) {
          const reopened = await probe.readAll(partition, last.next, 3)
          deepStrictEqual(reopened.rows, [], 'nothing comes behind the last position')
          strictEqual(reopened.rejected.length, 0, 'nothing is rejected behind the last position')
        }
        await probe.reading(partition, undefined, async (reader) => {
          while ((await reader.read(100)) !== 'end');
          strictEqual(await reader.read(1), 'end', "after 'end' comes 'end'")
          strictEqual(await reader.read(100), 'end', "after 'end' comes 'end'")
        })
      }
    }),

    promise('does not say it has caught up while rows are left, and gives rows readable positions', async (probe) => {
      for (const partition of probe.partitions) {
        const total = probe.fixture.rows[partition].length
        let seen = 0
        const { batches } = await probe.readAll(partition, undefined, 1)
        for (const { count, caughtUp, at } of batches) {
          seen += count
          if (seen < total) strictEqual(caughtUp, false, `${total - seen} rows of ${partition} are left`)
          for (const place of at) ok(typeof place === 'string' || Number.isFinite(place), `at() gives ${String(place)}`)
        }
      }
    }),

    promise('keeps lag and progress within their ranges, and closes twice, also without a read', async (probe) => {
      for (const partition of probe.partitions) {
        await probe.reading(partition, undefined, async (reader) => {
          let before = 0
          for (let reads = 0; reads < MAX_EMPTY_READS && (await reader.read(1)) !== 'end'; reads++) {
            const lag = reader.lag?.()
            ok(lag === undefined || lag >= 0, `lag is ${lag}`)
            const progress = reader.progress?.()
            ok(
              progress === undefined || (progress >= before && progress <= 1),
              `progress is ${progress} after ${before}`,
            )
            before = progress ?? before
            if (before === 1) break
          }
          await reader.close()
        })
        await probe.reading(partition, undefined, async () => {})
      }
    }),
  ]
}

interface ReadBatch {
  readonly count: number
  readonly next: Position
  readonly caughtUp: boolean
  readonly at: readonly (string | number)[]
  /** Records rejected up to and with this batch. */
  readonly rejectedBefore: number
}

/** Reads a fixture's source as the runtime does. */
class Probe<T> {
  readonly fixture: SourceFixture<T>
  readonly ctx: SourceContext
  readonly partitions: readonly string[]
  readonly #rejected: RejectedRecord[] = []

  constructor(fixture: SourceFixture<T>) {
    this.fixture = fixture
    this.ctx = sourceContext(fixture.disk, this.#rejected)
    this.partitions = Object.keys(fixture.rows)
  }

  /** Opens, calls `body`, and closes, twice. */
  async reading<R>(
    partition: string,
    position: Position | undefined,
    body: (reader: SourceReader<T>) => Promise<R>,
  ): Promise<R> {
    const reader = await this.fixture.source.open(partition, position, this.ctx)
    try {
      return await body(reader)
    } finally {
      await reader.close()
      await reader.close()
    }
  }

  /** Everything from a position to the end; to being caught up where the source has no end. */
  readAll(partition: string, position: Position | undefined, maxRows: number) {
    return this.reading(partition, position, async (reader) => {
      this.#rejected.length = 0
      const rows: T[] = []
      const batches: ReadBatch[] = []
      for (let empty = 0; ; ) {
        const batch = await reader.read(maxRows)
        if (batch === 'end') break
        const count = batch.rows.length
        const at = Array.from({ length: count }, (_, i) => batch.at(i))
        for (let i = 0; i < count; i++) rows.push('keep' in batch.rows ? batch.rows.keep(i) : batch.rows[i])
        batches.push({ count, next: batch.next, caughtUp: batch.caughtUp, at, rejectedBefore: this.#rejected.length })
        if (this.fixture.source.bounded !== true && batch.caughtUp) break
        empty = count === 0 ? empty + 1 : 0
        ok(empty < MAX_EMPTY_READS, `${MAX_EMPTY_READS} reads without a row: the reader is stuck`)
      }
      return { rows, batches, rejected: [...this.#rejected] }
    })
  }
}
