/** The tables of a log, and making them. */
import type { DatabaseSync } from 'node:sqlite'
import { OperationalError } from 'millrace/connector'
import { openDatabase } from './sqlite.ts'
import { inTransaction, patiently } from './transaction.ts'

const VERSION = 2

const TABLES = `
CREATE TABLE topic (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
  retention_ms REAL, retention_bytes REAL, compact INTEGER NOT NULL, tombstone_ms REAL NOT NULL
);
-- compacted: offset up to which superseded records are gone. time_high: latest timestamp of all records so far.
CREATE TABLE partition (
  id INTEGER PRIMARY KEY AUTOINCREMENT, topic INTEGER NOT NULL, number INTEGER NOT NULL,
  first INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
  compacted INTEGER NOT NULL DEFAULT 0, time_high REAL NOT NULL DEFAULT -9e999, UNIQUE (topic, number)
);
-- time_high: that of the partition up to and with this batch. It never falls, so offsets are found by time in log n steps.
CREATE TABLE batch (
  id INTEGER PRIMARY KEY, partition INTEGER NOT NULL, base INTEGER NOT NULL, span INTEGER NOT NULL,
  size INTEGER NOT NULL, appended_at REAL NOT NULL, producer INTEGER NOT NULL,
  time_high REAL NOT NULL, bytes BLOB NOT NULL
);
CREATE UNIQUE INDEX batch_place ON batch (partition, base, span, size, appended_at);
CREATE TABLE producer (
  id INTEGER PRIMARY KEY AUTOINCREMENT, transactional_id TEXT UNIQUE, epoch INTEGER NOT NULL, used_at REAL NOT NULL
);
-- The last append of a producer to a partition.
CREATE TABLE sequence (
  producer INTEGER NOT NULL, partition INTEGER NOT NULL, epoch INTEGER NOT NULL,
  first INTEGER NOT NULL, last INTEGER NOT NULL, base INTEGER NOT NULL, PRIMARY KEY (producer, partition)
) WITHOUT ROWID;
CREATE TABLE consumer_group (name TEXT PRIMARY KEY, generation INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE member (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, topics TEXT NOT NULL, strategy TEXT NOT NULL, lease_ms REAL NOT NULL,
  lease_until REAL NOT NULL, revoke_ms REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX member_group ON member (name);
-- owner reads the partition; target shall. They differ until the owner lets go.
CREATE TABLE assignment (
  name TEXT NOT NULL, partition INTEGER NOT NULL, owner TEXT NOT NULL, generation INTEGER NOT NULL,
  target TEXT NOT NULL, since REAL NOT NULL, PRIMARY KEY (name, partition)
) WITHOUT ROWID;
CREATE TABLE committed (
  name TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (name, partition)
) WITHOUT ROWID;
-- What the sinks of flows have appended to a topic.
CREATE TABLE publication (
  topic INTEGER NOT NULL, sink TEXT NOT NULL, sequence INTEGER NOT NULL, digest TEXT NOT NULL,
  PRIMARY KEY (topic, sink, sequence)
) WITHOUT ROWID;
CREATE TABLE upkeep (id INTEGER PRIMARY KEY, until REAL NOT NULL);
`

/** Makes the tables when they are not there; several processes may do so at once. @throws OperationalError `LOG_VERSION` */
export async function prepare(path: string): Promise<void> {
  const db = openDatabase(path, 'write')
  try {
    const version = await patiently(path, () => versionOf(db))
    if (version === 0) await create(db, path)
    else if (version !== VERSION) {
      throw new OperationalError(
        'LOG_VERSION',
        `"${path}" is a log of version ${version}; this Millrace reads version ${VERSION}. Nothing was changed. Use the Millrace that wrote it.`,
        { data: { path, version } },
      )
    }
  } finally {
    db.close()
  }
}

async function create(db: DatabaseSync, path: string): Promise<void> {
  await patiently(path, () => db.exec('PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL'))
  await inTransaction(db, path, () => {
    if (versionOf(db) === 0) db.exec(`${TABLES}PRAGMA user_version=${VERSION}`)
  })
}

function versionOf(db: DatabaseSync): number {
  return db.prepare('PRAGMA user_version').get()?.user_version as number
}
