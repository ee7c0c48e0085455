/**
 * Appending, as the writer does it, inside a transaction.
 *
 * Invariants:
 *  A1  Offsets of a partition follow each other without a gap: `next` moves in the transaction of the batch.
 *  A2  A producer's batch is stored once: its sequence is checked and noted in the transaction of the batch.
 *  A3  Nothing of a fenced producer is stored: its epoch is checked in that transaction, too.
 *  A4  All batches and offsets of one request are stored, or none.
 */
import { InvariantError, OperationalError } from 'millrace/connector'
import { commitOffsets } from './groups.ts'
import type { Argument, BatchToAppend, Result } from './protocol.ts'
import type { Sql } from './statements.ts'
import { deletedTopic, topicId } from './topics.ts'

/**
 * A new producer, or the next epoch of the one with this transactional id.
 * @throws OperationalError `LOG_FENCED` when it is no longer `own` that has the id
 */
export function openProducer(sql: Sql, request: Argument<'openProducer'>, now: number): Result<'openProducer'> {
  const { transactionalId, own } = request
  if (transactionalId !== undefined && own !== undefined) checkEpoch(sql, own.producer, own.epoch, now)
  if (transactionalId !== undefined) {
    sql('UPDATE producer SET epoch = epoch + 1, used_at = ? WHERE transactional_id = ?').run(now, transactionalId)
    const found = sql('SELECT id AS producer, epoch FROM producer WHERE transactional_id = ?').get(transactionalId)
    if (found !== undefined) return { ...(found as Result<'openProducer'>) }
  }
  const made = sql('INSERT INTO producer (transactional_id, epoch, used_at) VALUES (?, 0, ?)')
  return { producer: Number(made.run(transactionalId ?? null, now).lastInsertRowid), epoch: 0 }
}

/** @throws OperationalError `LOG_FENCED`, `LOG_TOPIC_UNKNOWN`, `LOG_GENERATION`; InvariantError `LOG_SEQUENCE` */
export function append(sql: Sql, request: Argument<'append'>, now: number): number[] {
  const { producer, epoch, batches, commits } = request
  checkEpoch(sql, producer, epoch, now)
  const bases = batches.map((batch) => appendOnce(sql, producer, epoch, batch, now))
  for (const commit of commits) commitOffsets(sql, commit, now)
  return bases
}

/** Upkeep forgets producers that were not used for days; noting the use once an hour is enough. */
const USE_NOTED_MS = 3_600_000

function checkEpoch(sql: Sql, producer: number, epoch: number, now: number): void {
  const found = sql('SELECT epoch, transactional_id AS name, used_at FROM producer WHERE id = ?').get(producer) as
    | { epoch: number; name: string | null; used_at: number }
    | undefined
  if (found?.epoch === epoch) {
    if (found.used_at < now - USE_NOTED_MS) sql('UPDATE producer SET used_at = ? WHERE id = ?').run(now, producer)
    return
  }
  const who = found?.name === undefined || found.name === null ? `${producer}` : `"${found.name}"`
  throw new OperationalError(
    'LOG_FENCED',
    found === undefined
      ? `producer ${producer} has not written for a long time and was forgotten. Nothing was stored; open a new one.`
      : `another producer with the transactional id ${who} took over (epoch ${found.epoch} > ${epoch}). Nothing was stored; close this one. Two that shall work side by side need ids of their own.`,
    { data: { producer, epoch } },
  )
}

/** The offset of the batch's first record, whether it was stored now or before. */
function appendOnce(sql: Sql, producer: number, epoch: number, batch: BatchToAppend, now: number): number {
  const last = sql('SELECT epoch, first, last, base FROM sequence WHERE producer = ? AND partition = ?').get(
    producer,
    batch.partition,
  ) as { epoch: number; first: number; last: number; base: number } | undefined
  const expected = last?.epoch === epoch ? last.last + 1 : 0
  const end = batch.sequence + batch.count - 1
  if (last !== undefined && end < expected) return last.first === batch.sequence ? last.base : -1
  if (batch.sequence !== expected) {
    // With a topic goes what is known of its producers.
    if (sql('SELECT 1 FROM partition WHERE id = ? AND topic > 0').get(batch.partition) === undefined)
      throw deletedTopic(batch.partition)
    throw new InvariantError(
      'LOG_SEQUENCE',
      `producer ${producer} appends sequence ${batch.sequence} to partition ${batch.partition} where ${expected} comes next: a batch before it is missing. Nothing was stored.`,
    )
  }
  const base = appendBatch(sql, producer, batch, now)
  sql('INSERT OR REPLACE INTO sequence (producer, partition, epoch, first, last, base) VALUES (?, ?, ?, ?, ?, ?)').run(
    producer,
    batch.partition,
    epoch,
    batch.sequence,
    end,
    base,
  )
  return base
}

function appendBatch(sql: Sql, producer: number, batch: Omit<BatchToAppend, 'sequence'>, now: number): number {
  const { partition, count, timeHigh, bytes } = batch
  const place = sql(
    'UPDATE partition SET next = next + ?, bytes = bytes + ?, time_high = max(time_high, ?) WHERE id = ? AND topic > 0 RETURNING next, time_high',
  ).get(count, bytes.length, timeHigh, partition) as { next: number; time_high: number } | undefined
  if (place === undefined) throw deletedTopic(partition)
  const base = place.next - count
  sql(
    'INSERT INTO batch (partition, base, span, size, appended_at, producer, time_high, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
  ).run(partition, base, count, bytes.length, now, producer, place.time_high, bytes)
  return base
}

/** Publications remembered per sink; older ones cannot be told from new ones after a return to an old savepoint. */
const PUBLICATIONS_MAX = 10_000

/**
 * Appends what a flow's sink publishes as its sequence `to`, unless the log has just that already.
 * @throws OperationalError `LOG_SINK_BEHIND` when the log lacks what the sink published before
 */
export function publish(sql: Sql, request: Argument<'publish'>, now: number): Result<'publish'> {
  const { sink, from, to, digest, batches } = request
  const topic = topicId(sql, request.topic)
  const known = sql('SELECT digest FROM publication WHERE topic = ? AND sink = ? AND sequence = ?').get(topic, sink, to)
  if (known?.digest === digest) return 'known'
  const newest = lastPublication(sql, topic, sink)
  if (newest < from) {
    throw new OperationalError(
      'LOG_SINK_BEHIND',
      `the log has ${newest} publications of sink "${sink}", but ${from} were committed to it: the log was deleted or replaced by an older copy. Nothing was appended. Bring back the log, or start without the old state.`,
      { data: { sink, committed: from, found: newest } },
    )
  }
  for (const batch of batches) appendBatch(sql, 0, batch, now)
  sql('DELETE FROM publication WHERE topic = ? AND sink = ? AND (sequence > ? OR sequence <= ?)').run(
    topic,
    sink,
    from,
    to - PUBLICATIONS_MAX,
  )
  sql('INSERT INTO publication (topic, sink, sequence, digest) VALUES (?, ?, ?, ?)').run(topic, sink, to, digest)
  return newest > from ? 'diverged' : 'appended'
}

/** Sequence of the newest publication of a sink, 0 when there is none. */
export function lastPublication(sql: Sql, topic: number, sink: string): number {
  const found = sql('SELECT max(sequence) AS newest FROM publication WHERE topic = ? AND sink = ?').get(topic, sink)
  return (found?.newest as number | null) ?? 0
}
