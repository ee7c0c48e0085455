/**
 * Retention and compaction: what a log forgets, in steps so small that appends do not notice.
 * One process does it at a time; a second one would do no harm.
 */
import { compactPartition, isDirty } from './compaction.ts'
import type { Sql } from './statements.ts'
import { DELETES_MAX, removeHidden } from './topics.ts'

/** Runs a step as one write transaction. */
export type Step = <R>(run: () => R) => Promise<R>

/** The right to do upkeep, taken for this long; a process that died with it hinders nobody for more. */
const CLAIM_MS = 30_000
/** A producer without a transactional id that was not used for this long is forgotten. */
const PRODUCER_MS = 7 * 24 * 3_600_000

interface PartitionRow {
  readonly id: number
  readonly topic: number
  readonly retention_ms: number | null
  readonly retention_bytes: number | null
  readonly compact: number | null
  readonly tombstone_ms: number | null
}

interface BatchPlace {
  readonly base: number
  readonly span: number
  readonly size: number
  readonly appended_at: number
}

/** Looks for what is due, which costs no commit, and does it. */
export async function upkeep(sql: Sql, step: Step, now: () => number): Promise<void> {
  const partitions = sql(
    `SELECT p.id, p.topic, t.retention_ms, t.retention_bytes, t.compact, t.tombstone_ms
     FROM partition p LEFT JOIN topic t ON t.id = p.topic`,
  ).all() as unknown as PartitionRow[]
  const due = partitions.filter((row) => isDue(sql, row, now()))
  if (due.length === 0 || !(await step(() => claim(sql, now())))) return
  for (const row of due) {
    while (!(await step(() => forget(sql, row, now()))));
    if (row.compact === 1) await compactPartition(sql, step, row.id, now() - (row.tombstone_ms ?? 0))
    await step(() => sql('UPDATE upkeep SET until = ?').run(now() + CLAIM_MS))
  }
  await step(() => {
    sql('DELETE FROM producer WHERE transactional_id IS NULL AND used_at < ?').run(now() - PRODUCER_MS)
    sql('DELETE FROM sequence WHERE producer NOT IN (SELECT id FROM producer)').run()
    sql('DELETE FROM upkeep').run()
  })
}

function isDue(sql: Sql, row: PartitionRow, now: number): boolean {
  if (row.topic < 0 || (row.compact === 1 && isDirty(sql, row.id))) return true
  const oldest = sql('SELECT base, span, size, appended_at FROM batch WHERE partition = ? ORDER BY base LIMIT 1').get(
    row.id,
  ) as BatchPlace | undefined
  if (oldest === undefined) return false
  const place = placeOf(sql, row.id)
  return oldest.base + oldest.span <= place.first || mayGo(row, oldest, place.bytes, now)
}

function mayGo(row: PartitionRow, batch: BatchPlace, bytes: number, now: number): boolean {
  return (
    (row.retention_ms !== null && batch.appended_at < now - row.retention_ms) ||
    (row.retention_bytes !== null && bytes - batch.size >= row.retention_bytes)
  )
}

function placeOf(sql: Sql, partition: number): { readonly first: number; readonly bytes: number } {
  return sql('SELECT first, bytes FROM partition WHERE id = ?').get(partition) as { first: number; bytes: number }
}

function claim(sql: Sql, now: number): boolean {
  return (
    sql(
      'INSERT INTO upkeep (id, until) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET until = excluded.until WHERE until < ?',
    ).run(now + CLAIM_MS, now).changes > 0
  )
}

/** One small delete; true when there is nothing left to forget. */
function forget(sql: Sql, row: PartitionRow, now: number): boolean {
  if (row.topic < 0) {
    const isDone = removeHidden(sql, row.id, Number.MAX_SAFE_INTEGER)
    if (isDone) sql('DELETE FROM partition WHERE id = ?').run(row.id)
    return isDone
  }
  const place = placeOf(sql, row.id)
  if (!removeHidden(sql, row.id, place.first)) return false
  const oldest = sql(
    `SELECT base, span, size, appended_at FROM batch WHERE partition = ? ORDER BY base LIMIT ${DELETES_MAX}`,
  ).all(row.id) as unknown as BatchPlace[]
  let first = place.first
  let bytes = place.bytes
  for (const batch of oldest) {
    if (!mayGo(row, batch, bytes, now)) break
    first = batch.base + batch.span
    bytes -= batch.size
  }
  if (first === place.first) return true
  sql('UPDATE partition SET first = ? WHERE id = ?').run(first, row.id)
  removeHidden(sql, row.id, first)
  return false
}
