/** Reads a log, in the calling thread. Every call is one short read transaction. */
import type { DatabaseSync } from 'node:sqlite'
import { OperationalError } from 'millrace/connector'
import { lastPublication } from './append.ts'
import type { Beginning } from './client.ts'
import { decodeBatch, type StoredRecord } from './records.ts'
import { isBusy, logError, openDatabase } from './sqlite.ts'
import { type Sql, statements } from './statements.ts'
import { deletedTopic, topicId, unknownTopic } from './topics.ts'

export interface PartitionPlace {
  readonly id: number
  readonly partition: number
  /** Offset of the first record that is left. */
  readonly first: number
  /** Offset of the next record to come. */
  readonly next: number
  readonly bytes: number
}

export interface TopicRow {
  readonly name: string
  readonly retentionMs: number | null
  readonly retentionBytes: number | null
  readonly compact: boolean
}

export interface Fetched {
  readonly base: number
  readonly records: readonly StoredRecord[]
  /** Offset behind what was fetched. */
  readonly next: number
}

/** Several small batches are fetched at once, up to this. */
const FETCH_BYTES = 1024 * 1024
const FETCH_BATCHES = 256
/** A reader is only locked out while a log is recovered after a crash; SQLite waits 20 ms each time. */
const TRIES = 50

export class LogReader {
  readonly #path: string
  readonly #db: DatabaseSync
  readonly #sql: Sql

  constructor(path: string) {
    this.#path = path
    this.#db = openDatabase(path, 'read')
    this.#sql = statements(this.#db)
  }

  /** Differs from what it was when another connection has committed. */
  version(): number {
    return this.#read(() => this.#sql('PRAGMA data_version').get()?.data_version as number)
  }

  topics(): TopicRow[] {
    const rows = this.#read(() =>
      this.#sql('SELECT name, retention_ms, retention_bytes, compact FROM topic ORDER BY name').all(),
    )
    return rows.map((row) => ({
      name: row.name as string,
      retentionMs: row.retention_ms as number | null,
      retentionBytes: row.retention_bytes as number | null,
      compact: row.compact === 1,
    }))
  }

  /** Partitions of a topic in order. @throws OperationalError `LOG_TOPIC_UNKNOWN` */
  partitions(topic: string): PartitionPlace[] {
    const rows = this.#read(() =>
      this.#sql(
        `SELECT p.id, p.number AS partition, p.first, p.next, p.bytes
         FROM partition p JOIN topic t ON t.id = p.topic WHERE t.name = ? ORDER BY p.number`,
      ).all(topic),
    )
    if (rows.length === 0) throw unknownTopic(topic)
    return rows.map((row) => ({ ...row })) as unknown as PartitionPlace[]
  }

  /** @throws OperationalError `LOG_TOPIC_UNKNOWN` when its topic was deleted */
  place(id: number): { readonly first: number; readonly next: number } {
    const row = this.#read(() => this.#sql('SELECT first, next FROM partition WHERE id = ? AND topic > 0').get(id))
    if (row === undefined) throw deletedTopic(id)
    return row as { first: number; next: number }
  }

  /**
   * Batches from the one that holds `offset` on, about 1 MiB; empty at the end.
   * @throws OperationalError `LOG_DAMAGED`, `LOG_OFFSET_GONE`
   */
  fetch(id: number, offset: number): { readonly batches: readonly Fetched[]; readonly next: number } {
    return this.#read(() => {
      const place = this.place(id)
      if (offset < place.first || offset > place.next) throw offsetGone(id, offset, place)
      if (offset === place.next) return { batches: [], next: offset }
      const rows = this.#sql(
        `SELECT base, span, bytes FROM batch WHERE partition = ?1 AND base >=
           coalesce((SELECT max(base) FROM batch WHERE partition = ?1 AND base <= ?2), ?2) ORDER BY base`,
      ).iterate(id, offset)
      const batches: Fetched[] = []
      let bytes = 0
      let isWhole = true
      for (const row of rows) {
        const { base, span, bytes: stored } = row as { base: number; span: number; bytes: Uint8Array }
        const records = decodeBatch(stored, `at offset ${base} of partition ${id}`)
        batches.push({ base, next: base + span, records: visible(records, base, Math.max(offset, place.first)) })
        bytes += stored.length
        if (bytes >= FETCH_BYTES || batches.length >= FETCH_BATCHES) {
          isWhole = false
          break
        }
      }
      // Compaction may have removed the last batches whole.
      const next = isWhole ? Math.max(place.next, batches.at(-1)?.next ?? 0) : (batches.at(-1)?.next ?? offset)
      return { batches, next }
    })
  }

  /** Offset of the first record of `time` or later, of those that are left; the end when there is none. */
  offsetForTime(id: number, time: number): number {
    for (let at = this.#placeForTime(id, time); ; ) {
      const { batches, next } = this.fetch(id, at)
      for (const { base, records } of batches) {
        const found = records.find((record) => record.timestamp >= time)
        if (found !== undefined) return base + found.delta
      }
      if (next === at) return next
      at = next
    }
  }

  /** Where a reader without a committed offset begins. */
  beginning({ id, first, next }: Omit<PartitionPlace, 'partition' | 'bytes'>, from: Beginning): number {
    if (from === 'earliest') return first
    return from === 'latest' ? next : this.offsetForTime(id, from.time)
  }

  /** An offset before which no record is of `time` or later: the first batch whose `time_high` says so. */
  #placeForTime(id: number, time: number): number {
    return this.#read(() => {
      const { first, next } = this.place(id)
      const batchAt = this.#sql(
        'SELECT base, span, time_high FROM batch WHERE partition = ? AND base <= ? ORDER BY base DESC LIMIT 1',
      )
      let low = first
      let high = next
      while (low < high) {
        const middle = low + Math.floor((high - low) / 2)
        const batch = batchAt.get(id, middle) as { base: number; span: number; time_high: number } | undefined
        // Compaction may have removed what lay there.
        if (batch === undefined || batch.base + batch.span <= low) low = middle + 1
        else if (batch.time_high < time) low = batch.base + batch.span
        else high = Math.max(low, batch.base)
      }
      return low
    })
  }

  committed(group: string): { topic: string; partition: number; id: number; committed: number; next: number }[] {
    const rows = this.#read(() =>
      this.#sql(
        `SELECT t.name AS topic, p.number AS partition, p.id, c.next AS committed, p.next FROM committed c
         JOIN partition p ON p.id = c.partition JOIN topic t ON t.id = p.topic WHERE c.name = ? ORDER BY t.name, p.number`,
      ).all(group),
    )
    return rows.map((row) => ({ ...row })) as never
  }

  groups(): { readonly name: string; readonly generation: number; readonly members: number }[] {
    const rows = this.#read(() =>
      this.#sql(
        `SELECT name, max(generation) AS generation, max(members) AS members FROM (
           SELECT g.name, g.generation, (SELECT count(*) FROM member m WHERE m.name = g.name) AS members FROM consumer_group g
           UNION ALL SELECT DISTINCT name, 0, 0 FROM committed) GROUP BY name ORDER BY name`,
      ).all(),
    )
    return rows.map((row) => ({ ...row })) as never
  }

  generation(group: string): number {
    const row = this.#read(() => this.#sql('SELECT generation FROM consumer_group WHERE name = ?').get(group))
    return (row?.generation as number | undefined) ?? 0
  }

  /** Number of times a flow's sink has published to a topic. */
  lastPublication(topic: string, sink: string): number {
    return this.#read(() => lastPublication(this.#sql, topicId(this.#sql, topic), sink))
  }

  close(): void {
    this.#db.close()
  }

  #read<R>(body: () => R): R {
    for (let tries = 1; ; tries++) {
      try {
        return body()
      } catch (thrown) {
        if (!isBusy(thrown) || tries === TRIES) throw logError(thrown, this.#path)
      }
    }
  }
}

function visible(records: readonly StoredRecord[], base: number, from: number): readonly StoredRecord[] {
  return base >= from ? records : records.filter((record) => base + record.delta >= from)
}

function offsetGone(id: number, offset: number, place: { first: number; next: number }): OperationalError {
  const what =
    offset < place.first
      ? `was removed by retention; the first record that is left is ${place.first}, so ${place.first - offset} were never read`
      : `lies behind the end (${place.next}): the log was deleted or replaced by an older copy`
  return new OperationalError(
    'LOG_OFFSET_GONE',
    `offset ${offset} of partition ${id} ${what}. Raise the topic's retention; to go on from what is left, start from another offset.`,
    { data: { partition: id, offset, first: place.first, next: place.next } },
  )
}
