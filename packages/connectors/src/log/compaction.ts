/**
 * Compaction of one partition: of each key only the newest record stays, at its offset.
 *
 * As in Kafka: the newest offset of each key is gathered from what came since the last time, as far as the map holds;
 * then everything before that point is rewritten without the records that are superseded. Records without a key stay.
 */
import { decodeBatch, encodeBatch, type StoredRecord } from './records.ts'
import type { Sql } from './statements.ts'
import type { Step } from './upkeep.ts'

/** Keys gathered in one pass; more are left to the next one. */
const KEYS_MAX = 200_000
/** Batches looked at before others have their turn. */
const SLICE = 8
/** A partition is rewritten when this share of its bytes is new since the last time. */
const DIRTY_SHARE = 0.25

interface BatchRow {
  readonly id: number
  readonly base: number
  readonly span: number
  readonly size: number
  readonly bytes: Uint8Array
}

interface Sizes {
  readonly first: number
  readonly compacted: number
  readonly bytes: number
  /** Bytes that came since the last compaction. */
  readonly dirty: number
}

/** `tombstonesBefore`: tombstones older than this event time go, too. */
export async function compactPartition(
  sql: Sql,
  step: Step,
  partition: number,
  tombstonesBefore: number,
): Promise<void> {
  const sizes = sizesOf(sql, partition)
  if (sizes === undefined || !isWorthIt(sizes)) return
  const newest = new Map<string, number>()
  let end = sizes.compacted
  await eachBatch(sql, step, partition, sizes.compacted, Number.MAX_SAFE_INTEGER, (batch) => {
    for (const record of recordsOf(partition, batch)) {
      if (record.key !== null) newest.set(keyText(record.key), batch.base + record.delta)
    }
    end = batch.base + batch.span
    return newest.size < KEYS_MAX
  })
  await eachBatch(sql, step, partition, sizes.first, end, (batch) => {
    rewrite(sql, partition, batch, newest, tombstonesBefore)
    return true
  })
  await step(() => sql('UPDATE partition SET compacted = ? WHERE id = ?').run(end, partition))
}

/** Is enough of a partition new since the last time? */
export function isDirty(sql: Sql, partition: number): boolean {
  const sizes = sizesOf(sql, partition)
  return sizes !== undefined && isWorthIt(sizes)
}

const isWorthIt = ({ dirty, bytes }: Sizes): boolean => dirty > 0 && dirty >= bytes * DIRTY_SHARE

function sizesOf(sql: Sql, partition: number): Sizes | undefined {
  return sql(
    `SELECT p.first, p.compacted, p.bytes,
       (SELECT coalesce(sum(size), 0) FROM batch b WHERE b.partition = p.id AND b.base >= p.compacted) AS dirty
     FROM partition p WHERE id = ?`,
  ).get(partition) as Sizes | undefined
}

function rewrite(
  sql: Sql,
  partition: number,
  batch: BatchRow,
  newest: ReadonlyMap<string, number>,
  tombstonesBefore: number,
): void {
  const records = recordsOf(partition, batch)
  const kept = records.filter((record) => {
    if (record.key === null) return true
    const offset = newest.get(keyText(record.key))
    if (offset !== undefined && offset > batch.base + record.delta) return false
    return record.value !== null || record.timestamp >= tombstonesBefore
  })
  if (kept.length === records.length) return
  const bytes = kept.length === 0 ? undefined : encodeBatch(kept)
  if (bytes === undefined) sql('DELETE FROM batch WHERE id = ?').run(batch.id)
  else sql('UPDATE batch SET bytes = ?, size = ? WHERE id = ?').run(bytes, bytes.length, batch.id)
  sql('UPDATE partition SET bytes = bytes - ? WHERE id = ?').run(batch.size - (bytes?.length ?? 0), partition)
}

/** Batches with `from` <= base < `before`, a few per transaction, until `take` returns false. */
async function eachBatch(
  sql: Sql,
  step: Step,
  partition: number,
  from: number,
  before: number,
  take: (batch: BatchRow) => boolean,
): Promise<void> {
  for (let at = from; at < before; ) {
    const last = await step(() => {
      const batches = sql(
        `SELECT id, base, span, size, bytes FROM batch WHERE partition = ? AND base >= ? AND base < ? ORDER BY base LIMIT ${SLICE}`,
      ).all(partition, at, before) as unknown as BatchRow[]
      for (const batch of batches) if (!take(batch)) return undefined
      return batches.at(-1)
    })
    if (last === undefined) return
    at = last.base + 1
  }
}

const recordsOf = (partition: number, batch: BatchRow): StoredRecord[] =>
  decodeBatch(batch.bytes, `at offset ${batch.base} of partition ${partition}`)

const keyText = (key: Uint8Array): string => Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1')
