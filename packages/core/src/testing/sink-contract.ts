/** The contract of sinks as checks: what every connector's sink is run against. */
import { deepStrictEqual, notDeepStrictEqual, ok, rejects, strictEqual } from 'node:assert/strict'
import { RowBatch } from '../batch/batch.ts'
import type { Position, Sink, SinkCommitter, SinkContext } from '../connector.ts'
import { InvariantError, OperationalError } from '../errors.ts'
import { nodeDisk } from '../runtime/node-disk.ts'
import type { Disk } from '../runtime/ports.ts'
import { breakingDisk } from './breaking-disk.ts'
import { type Closable, type ContractCheck, check, sinkContext } from './contract.ts'

/** A sink with a target of its own that is empty. */
export interface SinkFixture<T> extends Closable {
  readonly sink: Sink<T>
  /** What a reader of the target sees now, in the order of the target. */
  readonly read: () => Promise<readonly unknown[]> | readonly unknown[]
  /** Default: the real disk. */
  readonly disk?: Disk
}

export interface SinkContractOptions<T> {
  /** Makes a fixture for one check. */
  readonly make: () => Promise<SinkFixture<T>> | SinkFixture<T>
  /** Rows to write, 4 or more, no two alike; objects, where the sink `takesChanges`. */
  readonly rows: readonly T[]
  /** What `read` shows of each row. Default: the rows themselves. */
  readonly expected?: readonly unknown[]
  /**
   * True for a staged sink whose target cannot take back what readers may have seen, as a log. Going back to an earlier
   * state then keeps what is there: the same epochs are recognised, other ones are appended.
   */
  readonly appendOnly?: boolean
}

/**
 * The promises of `Sink`, by its guarantee: staged, idempotent or at-least-once.
 * @throws InvariantError `CONTRACT_ROWS` when there are fewer than 4 rows
 * @example sinkContract('array', { make: () => ({ sink: arraySink<number>([]), read: () => [] }), rows: [1, 2, 3, 4] }).length // => 9
 */
export function sinkContract<T>(name: string, options: SinkContractOptions<T>): readonly ContractCheck[] {
  const { make, rows, expected = rows, appendOnly = false } = options
  if (rows.length < 4 || expected.length !== rows.length) {
    throw new InvariantError(
      'CONTRACT_ROWS',
      `sinkContract("${name}") needs 4 rows or more, and one expected value for each.`,
    )
  }
  const promise = (
    text: string,
    of: Sink<T>['guarantee'] | 'any',
    body: (target: Target<T>) => Promise<void>,
  ): ContractCheck =>
    check(`${name}: ${text}`, make, async (fixture) => {
      if (of === 'any' || of === fixture.sink.guarantee) await body(new Target(fixture))
    })
  const half = Math.floor(rows.length / 2)

  return [
    promise('describes itself with plain values', 'any', async ({ sink }) => {
      ok(sink.kind.length > 0, 'kind is not empty')
      deepStrictEqual(JSON.parse(JSON.stringify(sink.describe())), sink.describe(), 'describe() survives JSON')
      strictEqual(
        sink.committer !== undefined,
        sink.guarantee === 'staged',
        'staged sinks, and only they, have a committer',
      )
    }),

    promise('written rows are all at the target after flush, in order, however they are cut', 'any', async (target) => {
      if (target.sink.guarantee === 'staged') return
      const writer = await target.sink.open(target.ctx)
      await writer.write(batchOf(rows.slice(0, 1)))
      await writer.write(batchOf(rows.slice(1, 1)))
      await writer.write(batchOf(rows.slice(1)))
      await writer.flush?.()
      deepStrictEqual(await target.read(), expected)
      await writer.close()
      deepStrictEqual(await target.read(), expected, 'closing adds nothing')
    }),

    promise('a row that is taken back can be told from a new one', 'any', async (target) => {
      if (target.sink.takesChanges !== true) return
      if (target.sink.guarantee === 'staged') {
        const staged = [...(await target.stage(rows)), ...(await target.stage(rows.slice(0, 1), -1))]
        await target.committing(undefined, async (committer) => {
          const zero = committer.after(undefined, 0)
          await committer.publish(zero, committer.after(zero, sizeOf(staged)), each(staged))
        })
      } else {
        const writer = await target.sink.open(target.ctx)
        await writer.write(batchOf(rows))
        await writer.write(batchOf(rows.slice(0, 1), -1))
        await writer.flush?.()
        await writer.close()
      }
      const seen = await target.read()
      notDeepStrictEqual(seen, [...expected, expected[0]], 'it is not written like a new one')
      notDeepStrictEqual(seen, expected, 'it is not passed over')
    }),

    promise('a row written twice is there once', 'idempotent', async (target) => {
      const writer = await target.sink.open(target.ctx)
      await writer.write(batchOf(rows))
      await writer.write(batchOf(rows.slice(half)))
      await writer.flush?.()
      await writer.close()
      const again = await target.sink.open(target.ctx)
      await again.write(batchOf(rows))
      await again.flush?.()
      await again.close()
      deepStrictEqual(await target.read(), expected)
    }),

    promise('nothing staged is visible before publish; epochs add up; after() is pure', 'staged', async (target) => {
      const first = await target.stage(rows.slice(0, half))
      const second = await target.stage(rows.slice(half))
      await target.committing(undefined, async (committer) => {
        deepStrictEqual(await target.read(), [], 'the target is empty before the first publish')
        const zero = committer.after(undefined, 0)
        const one = committer.after(zero, sizeOf(first))
        deepStrictEqual(committer.after(zero, sizeOf(first)), one, 'after() gives the same again')
        deepStrictEqual(committer.after(zero, 0), zero, 'no bytes do not change the state')
        deepStrictEqual(JSON.parse(JSON.stringify(one)), one, 'a state survives JSON')
        deepStrictEqual(await target.read(), [], 'after() publishes nothing')
        await committer.publish(zero, one, each(first))
        deepStrictEqual(await target.read(), expected.slice(0, half))
        await committer.publish(one, committer.after(one, 0), each([]))
        deepStrictEqual(await target.read(), expected.slice(0, half), 'an empty epoch changes nothing')
        await committer.publish(one, committer.after(one, sizeOf(second)), each(second))
        deepStrictEqual(await target.read(), expected)
      })
    }),

    promise('publishing an epoch again, here and after a restart, changes nothing', 'staged', async (target) => {
      const { states, epochs } = await target.twoEpochs(rows, half)
      await target.committing(states[1], async (committer) => {
        for (let i = 0; i < 3; i++) await committer.publish(states[1], states[2], each(epochs[1]))
        deepStrictEqual(await target.read(), expected)
      })
      await target.committing(states[2], async () => {
        deepStrictEqual(await target.read(), expected, 'restoring the last state keeps what is committed')
      })
    }),

    promise(
      appendOnly
        ? 'restore keeps what readers have seen; the same epochs are recognised, other ones are appended'
        : 'restore takes back what was published and not committed; going on equals an uninterrupted run',
      'staged',
      async (target) => {
        const { states, epochs } = await target.twoEpochs(rows, half)
        if (appendOnly) {
          await target.committing(states[0], async (committer) => {
            deepStrictEqual(await target.read(), expected, 'nothing is taken back')
            await committer.publish(states[0], states[1], each(epochs[0]))
            await committer.publish(states[1], states[2], each(epochs[1]))
            deepStrictEqual(await target.read(), expected, 'the same epochs are there once')
          })
          await target.committing(states[0], async (committer) => {
            const all = [...epochs[0], ...epochs[1]]
            const state = committer.after(states[0], sizeOf(all))
            for (let i = 0; i < 2; i++) await committer.publish(states[0], state, each(all))
            deepStrictEqual(await target.read(), [...expected, ...expected], 'epochs cut elsewhere are appended, once')
          })
          return
        }
        await target.committing(states[1], async (committer) => {
          deepStrictEqual(await target.read(), expected.slice(0, half), 'the second epoch is gone')
          await committer.publish(states[1], states[2], each(epochs[1]))
          deepStrictEqual(await target.read(), expected)
        })
        await target.committing(states[0], async (committer) => {
          deepStrictEqual(await target.read(), [], 'both epochs are gone')
          const all = [...epochs[0], ...epochs[1]]
          await committer.publish(states[0], committer.after(states[0], sizeOf(all)), each(all))
          deepStrictEqual(await target.read(), expected, 'epochs cut elsewhere give the same')
        })
      },
    ),

    promise('a publish that stops after any of its bytes is made good by the next start', 'staged', async (target) => {
      const { states, epochs } = await target.twoEpochs(rows, half)
      const bytes = Buffer.concat(epochs[1])
      const step = Math.max(1, Math.floor(bytes.length / 50))
      for (let cut = 0; cut <= bytes.length; cut += step) {
        await target.committing(states[1], async (committer) => {
          await rejects(
            committer.publish(states[1], states[2], breaksAfter(bytes.subarray(0, cut))),
            /broken on purpose/,
          )
        })
        await target.committing(states[1], async (committer) => {
          await committer.publish(states[1], states[2], each([bytes]))
          deepStrictEqual(await target.read(), expected, `stopped after ${cut} of ${bytes.length} bytes`)
        })
      }
    }),

    promise(
      'a crash at any write to the disk, torn or not, is made good by the next start',
      'staged',
      async (target) => {
        const { states, epochs } = await target.twoEpochs(rows, half)
        const disk = target.ctx.disk
        // Back from the later state: what is published from the earlier one is another history.
        for (const from of appendOnly ? [1] : [1, 0]) {
          for (let allowed = 0; ; allowed++) {
            const breaking = breakingDisk(disk, allowed)
            const rest = from === 0 ? [...epochs[0], ...epochs[1]] : epochs[1]
            const publish = (committer: SinkCommitter): Promise<void> =>
              committer.publish(states[from], committer.after(states[from], sizeOf(rest)), each(rest))
            try {
              await target.committing(states[from], publish, breaking.disk)
            } catch (thrown) {
              if (!breaking.isBroken()) throw thrown
            }
            await target.committing(states[from], publish)
            deepStrictEqual(
              await target.read(),
              expected,
              `broken at write ${allowed} of the epoch after state ${from}`,
            )
            if (!breaking.isBroken()) break
          }
        }
      },
    ),
  ]
}

/** A fixture's sink as the runtime uses it. */
class Target<T> {
  readonly sink: Sink<T>
  readonly ctx: SinkContext
  readonly #fixture: SinkFixture<T>

  constructor(fixture: SinkFixture<T>) {
    this.#fixture = fixture
    this.sink = fixture.sink
    this.ctx = sinkContext(fixture.disk ?? nodeDisk())
  }

  async read(): Promise<readonly unknown[]> {
    return this.#fixture.read()
  }

  /** Bytes that a writer stages for rows, one write per row. */
  async stage(rows: readonly T[], weight: 1 | -1 = 1): Promise<Uint8Array[]> {
    const writer = await this.sink.open(this.ctx)
    const staged: Uint8Array[] = []
    for (const row of rows) {
      const bytes = await writer.write(batchOf([row], weight))
      if (!(bytes instanceof Uint8Array)) {
        throw new OperationalError('CONTRACT_STAGED', 'the writer of a staged sink must return the bytes to stage.')
      }
      // A writer may reuse its buffer for the next batch.
      staged.push(bytes.slice())
    }
    await writer.close()
    return staged
  }

  /** A committer restored to `state`, closed at the end. */
  async committing(
    state: Position | undefined,
    body: (committer: SinkCommitter) => Promise<void>,
    disk?: Disk,
  ): Promise<void> {
    const committer = await this.sink.committer?.(disk === undefined ? this.ctx : { ...this.ctx, disk })
    if (committer === undefined) throw new OperationalError('CONTRACT_STAGED', 'a staged sink must have a committer.')
    try {
      await committer.restore(state)
      await body(committer)
    } finally {
      await committer.close()
    }
  }

  /** Publishes the rows as two epochs; gives the states before, between and behind them. */
  async twoEpochs(rows: readonly T[], half: number) {
    const epochs = [await this.stage(rows.slice(0, half)), await this.stage(rows.slice(half))]
    const states: Position[] = []
    await this.committing(undefined, async (committer) => {
      states.push(committer.after(undefined, 0))
      for (const [i, epoch] of epochs.entries()) {
        states.push(committer.after(states[i], sizeOf(epoch)))
        await committer.publish(states[i], states[i + 1], each(epoch))
      }
    })
    return { epochs, states }
  }
}

function batchOf<T>(rows: readonly T[], weight: 1 | -1 = 1): RowBatch<T> {
  const weights = weight === 1 ? undefined : new Int8Array(rows.length).fill(weight)
  return new RowBatch(rows, new Float64Array(rows.length), undefined, weights)
}

function sizeOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, bytes) => sum + bytes.length, 0)
}

async function* each(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

async function* breaksAfter(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
  throw new Error('broken on purpose')
}
