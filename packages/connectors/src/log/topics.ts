/** Topics and partitions, as the writer changes them. */
import { OperationalError, UsageError } from 'millrace/connector'
import type { TopicSettings } from './protocol.ts'
import type { Sql } from './statements.ts'

/** Batches removed in one transaction: retention must not hold up appends. */
export const DELETES_MAX = 64

/** @throws UsageError `LOG_TOPIC_EXISTS` */
export function createTopic(sql: Sql, name: string, settings: TopicSettings, mayExist: boolean): undefined {
  const { partitions, retentionMs, retentionBytes, compact, tombstoneMs } = settings
  if (sql('SELECT id FROM topic WHERE name = ?').get(name) !== undefined) {
    if (mayExist) return
    throw new UsageError('LOG_TOPIC_EXISTS', `there is a topic "${name}" already; nothing was changed.`, {
      data: { topic: name },
    })
  }
  const { lastInsertRowid: topic } = sql(
    'INSERT INTO topic (name, retention_ms, retention_bytes, compact, tombstone_ms) VALUES (?, ?, ?, ?, ?)',
  ).run(name, retentionMs, retentionBytes, compact ? 1 : 0, tombstoneMs)
  for (let number = 0; number < partitions; number++)
    sql('INSERT INTO partition (topic, number) VALUES (?, ?)').run(topic, number)
}

/** @throws OperationalError `LOG_TOPIC_UNKNOWN` */
export function topicId(sql: Sql, name: string): number {
  const found = sql('SELECT id FROM topic WHERE name = ?').get(name)
  if (found === undefined) throw unknownTopic(name)
  return found.id as number
}

/** Its records go later, in small steps: a partition without a topic has a negative one. @throws `LOG_TOPIC_UNKNOWN` */
export function deleteTopic(sql: Sql, name: string): undefined {
  const found = { id: topicId(sql, name) }
  for (const table of ['committed', 'assignment', 'sequence'])
    sql(`DELETE FROM ${table} WHERE partition IN (SELECT id FROM partition WHERE topic = ?)`).run(found.id)
  sql('DELETE FROM publication WHERE topic = ?').run(found.id)
  sql('UPDATE partition SET topic = -id WHERE topic = ?').run(found.id)
  sql('DELETE FROM topic WHERE id = ?').run(found.id)
}

/** Hides everything before an offset and removes a part of it; to be repeated until done. */
export function deleteRecords(sql: Sql, partition: number, before: number): { first: number; isDone: boolean } {
  sql('UPDATE partition SET first = max(first, min(?, next)) WHERE id = ?').run(before, partition)
  const found = sql('SELECT first FROM partition WHERE id = ?').get(partition) as { first: number } | undefined
  if (found === undefined) throw deletedTopic(partition)
  return { first: found.first, isDone: removeHidden(sql, partition, found.first) }
}

/** Removes up to DELETES_MAX batches that lie before `first` whole. True when none is left. */
export function removeHidden(sql: Sql, partition: number, first: number): boolean {
  const batches = sql(
    `SELECT id, size FROM batch WHERE partition = ? AND base + span <= ? ORDER BY base LIMIT ${DELETES_MAX}`,
  ).all(partition, first) as { id: number; size: number }[]
  for (const { id } of batches) sql('DELETE FROM batch WHERE id = ?').run(id)
  const bytes = batches.reduce((sum, { size }) => sum + size, 0)
  if (bytes > 0) sql('UPDATE partition SET bytes = bytes - ? WHERE id = ?').run(bytes, partition)
  return batches.length < DELETES_MAX
}

/** The topic of a partition is gone. */
export function deletedTopic(partition: number): OperationalError {
  return new OperationalError(
    'LOG_TOPIC_UNKNOWN',
    `the topic of partition ${partition} was deleted. Nothing was changed; open what writes or reads it again if there is a new one.`,
    { data: { partition } },
  )
}

export function unknownTopic(name: string): OperationalError {
  return new OperationalError(
    'LOG_TOPIC_UNKNOWN',
    `there is no topic "${name}" in this log, or it was deleted. admin.createTopic or \`millrace topics create\` makes one.`,
    { data: { topic: name } },
  )
}
