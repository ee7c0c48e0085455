/**
 * Retention and compaction: what a log forgets, in steps so small that appends do not notice.
 * One process does it at a time; a second one would do no harm.
 */
import { compactPartition } from './compaction.ts'
import type { Sql } from './statements.ts'
import { DELETES_MAX, removeHidden } from './topics.ts'

/** Runs a step as one write transaction. */
export type Step = <R>(run: () => R) => Promise<R>

/** The right to do upkeep, taken for this long; a process that died with it hinders nobody for more. */
const CLAIM_MS = 30_000
/** A producer without a transactional id that has not been opened or used for this long is forgotten. */
const PRODUCER_MS = 7 * 24 * 3_600_000

interface PartitionRow {
  readonly id: number
  readonly topic: number
  readonly retention_ms: number | null
  readonly retention_bytes: number | null
  readonly compact: number | null
  readonly tombstone_ms: number | null
}

export async function upkeep(sql: Sql, step: Step, now: () => number): Promise<void> {
  if (!(await step(() => claim(sql, now())))) return
  await step(() =>
    sql(
      'DELETE FROM producer WHERE transactional_id IS NULL AND used_at < ? AND id NOT IN (SELECT producer FROM sequence)',
    ).run(now() - PRODUCER_MS),
  )
  const partitions = sql(
    `SELECT p.id, p.topic, t.retention_ms, t.retention_bytes, t.compact, t.tombstone_ms
     FROM partition p LEFT JOIN topic t ON t.id = p.topic`,
  ).all() as unknown as PartitionRow[]
  for (const row of partitions) {
    while (!(await step(() => forget(sql, row, now()))));
    if (row.compact === 1) await compactPartition(sql, step, row.id, now() - (row.tombstone_ms ?? 0))
    await step(() => sql('UPDATE upkeep SET until = ?').run(now() + CLAIM_MS))
  }
  await step(() => sql('DELETE FROM upkeep').run())
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
  const place = sql('SELECT first, bytes FROM partition WHERE id = ?').get(row.id) as { first: number; bytes: number }
  if (!removeHidden(sql, row.id, place.first)) return false
  const oldest = sql(
    `SELECT base, span, size, appended_at FROM batch WHERE partition = ? ORDER BY base LIMIT ${DELETES_MAX}`,
  ).all(row.id) as { base: number; span: number; size: number; appended_at: number }[]
  let first = place.first
  let bytes = place.bytes
  for (const batch of oldest) {
    const isOld = row.retention_ms !== null && batch.appended_at < now - row.retention_ms
    const isOver = row.retention_bytes !== null && bytes - batch.size >= row.retention_bytes
    if (!isOld && !isOver) break
    first = batch.base + batch.span
    bytes -= batch.size
  }
  if (first === place.first) return true
  sql('UPDATE partition SET first = ? WHERE id = ?').run(first, row.id)
  removeHidden(sql, row.id, first)
  return false
}
