/**
 * Consumer groups, as the writer keeps them, inside a transaction.
 *
 * Invariants:
 *  G1  A member is one until its lease ends; whoever finds it ended removes it and deals its partitions anew.
 *  G2  A partition has one owner. It changes when the owner lets go, is gone, or has taken longer than `revokeWithinMs`.
 *  G3  A committed offset comes from the owner, in the generation in which it got the partition.
 */
import { OperationalError } from 'millrace/connector'
import { assign } from './assignment.ts'
import type { Argument, MemberView, OffsetCommit, OwnedPartition, Strategy } from './protocol.ts'
import type { Sql } from './statements.ts'

interface Member {
  readonly id: string
  readonly topics: string
  readonly strategy: Strategy
  readonly lease_until: number
  readonly revoke_ms: number
}

export function join(sql: Sql, request: Argument<'join'>, now: number): MemberView {
  const { group, member, topics, strategy, leaseMs, revokeWithinMs } = request
  sql('INSERT OR IGNORE INTO consumer_group (name, generation) VALUES (?, 0)').run(group)
  sql(
    'INSERT OR REPLACE INTO member (id, name, topics, strategy, lease_ms, lease_until, revoke_ms) VALUES (?, ?, ?, ?, ?, ?, ?)',
  ).run(member, group, JSON.stringify(topics), strategy, leaseMs, now + leaseMs, revokeWithinMs)
  removeExpired(sql, group, now)
  deal(sql, group, now)
  return view(sql, group, member)
}

/** Renews the lease, removes members whose lease has ended. @throws OperationalError `LOG_MEMBER_UNKNOWN` */
export function heartbeat(sql: Sql, group: string, member: string, now: number): MemberView {
  const { changes } = sql('UPDATE member SET lease_until = ? + lease_ms WHERE id = ? AND lease_until >= ?').run(
    now,
    member,
    now,
  )
  if (removeExpired(sql, group, now) || isOutdated(sql, group)) deal(sql, group, now)
  if (changes === 0) throw unknownMember(group, member)
  takeByForce(sql, group, now)
  return view(sql, group, member)
}

/** The member has let go of these partitions. */
export function release(sql: Sql, { group, member, partitions }: Argument<'release'>, now: number): MemberView {
  for (const partition of partitions) handOver(sql, group, partition, member, now)
  return heartbeat(sql, group, member, now)
}

export function leave(sql: Sql, group: string, member: string, now: number): undefined {
  sql('DELETE FROM member WHERE id = ?').run(member)
  removeExpired(sql, group, now)
  deal(sql, group, now)
}

/** @throws OperationalError `LOG_GENERATION` when a partition is no longer the member's; nothing is stored then */
export function commitOffsets(sql: Sql, { group, member, offsets }: OffsetCommit, now: number): undefined {
  if (member === undefined) {
    removeExpired(sql, group, now)
    const others = sql('SELECT count(*) AS n FROM member WHERE name = ?').get(group) as { n: number }
    if (others.n > 0) {
      throw new OperationalError(
        'LOG_GROUP_ACTIVE',
        `group "${group}" has ${others.n} members; only they commit its offsets. Nothing was changed. Stop them first, or use another group.`,
        { data: { group, members: others.n } },
      )
    }
  } else if (sql('SELECT 1 FROM member WHERE id = ? AND lease_until >= ?').get(member, now) === undefined) {
    throw unknownMember(group, member)
  }
  for (const { partition, next, generation } of offsets) {
    if (member !== undefined) {
      const owner = sql('SELECT owner, generation FROM assignment WHERE name = ? AND partition = ?').get(
        group,
        partition,
      ) as { owner: string; generation: number } | undefined
      if (owner?.owner !== member || owner.generation !== generation) {
        throw new OperationalError(
          'LOG_GENERATION',
          `partition ${partition} went to another member of group "${group}" (generation ${owner?.generation ?? 'none'}, this commit is of ${generation}). No offset of this commit was stored. Undo what was done since the last one and go on with poll(), which gives what is still this member's again; the rest is read there.`,
          { data: { group, partition, generation } },
        )
      }
    }
    sql('INSERT OR REPLACE INTO committed (name, partition, next) VALUES (?, ?, ?)').run(group, partition, next)
  }
}

function removeExpired(sql: Sql, group: string, now: number): boolean {
  return sql('DELETE FROM member WHERE name = ? AND lease_until < ?').run(group, now).changes > 0
}

/** A topic that somebody subscribes to was made, deleted, or changed. */
function isOutdated(sql: Sql, group: string): boolean {
  const members = membersOf(sql, group)
  if (members.length === 0) return false
  const wanted = [...target(sql, members).keys()]
  const held = sql('SELECT count(*) AS n FROM assignment WHERE name = ?').get(group) as { n: number }
  return held.n !== wanted.length
}

/** Computes who shall read what; partitions without a living owner go over at once. */
function deal(sql: Sql, group: string, now: number): void {
  const members = membersOf(sql, group)
  const living = new Set(members.map((m) => m.id))
  const wanted = target(sql, members)
  sql('UPDATE consumer_group SET generation = generation + 1 WHERE name = ?').run(group)
  const generation = generationOf(sql, group)
  const rows = sql('SELECT partition, owner, target FROM assignment WHERE name = ?').all(group) as {
    partition: number
    owner: string
    target: string
  }[]
  const held = new Map(rows.map((row) => [row.partition, row]))
  for (const { partition } of rows) {
    if (!wanted.has(partition)) sql('DELETE FROM assignment WHERE name = ? AND partition = ?').run(group, partition)
  }
  for (const [partition, member] of wanted) {
    const row = held.get(partition)
    if (row === undefined || !living.has(row.owner)) {
      sql(
        'INSERT OR REPLACE INTO assignment (name, partition, owner, generation, target, since) VALUES (?, ?, ?, ?, ?, ?)',
      ).run(group, partition, member, generation, member, now)
    } else if (row.target !== member) {
      sql('UPDATE assignment SET target = ?, since = ? WHERE name = ? AND partition = ?').run(
        member,
        now,
        group,
        partition,
      )
    }
  }
}

function target(sql: Sql, members: readonly Member[]): Map<number, string> {
  const subscribers = members.map((m) => ({ member: m.id, topics: JSON.parse(m.topics) as string[] }))
  const names = [...new Set(subscribers.flatMap((s) => s.topics))]
  const topics = names.map((topic) => ({
    topic,
    partitions: sql('SELECT p.id FROM partition p JOIN topic t ON t.id = p.topic WHERE t.name = ? ORDER BY p.number')
      .all(topic)
      .map((row) => row.id as number),
  }))
  return assign(subscribers, topics, members[0]?.strategy ?? 'range')
}

/** Partitions whose owner has not let go in time. */
function takeByForce(sql: Sql, group: string, now: number): void {
  const late = sql(
    'SELECT a.partition, a.owner FROM assignment a JOIN member m ON m.id = a.owner WHERE a.name = ? AND a.owner <> a.target AND a.since + m.revoke_ms < ?',
  ).all(group, now) as { partition: number; owner: string }[]
  for (const { partition, owner } of late) handOver(sql, group, partition, owner, now)
}

function handOver(sql: Sql, group: string, partition: number, owner: string, now: number): void {
  sql(
    'UPDATE assignment SET owner = target, generation = ?, since = ? WHERE name = ? AND partition = ? AND owner = ? AND owner <> target',
  ).run(generationOf(sql, group), now, group, partition, owner)
}

function membersOf(sql: Sql, group: string): Member[] {
  return sql('SELECT id, topics, strategy, lease_until, revoke_ms FROM member WHERE name = ? ORDER BY id').all(
    group,
  ) as unknown as Member[]
}

function generationOf(sql: Sql, group: string): number {
  return (sql('SELECT generation FROM consumer_group WHERE name = ?').get(group)?.generation as number) ?? 0
}

function view(sql: Sql, group: string, member: string): MemberView {
  const rows = sql(
    `SELECT a.partition, t.name AS topic, p.number, a.generation, a.target, c.next AS committed
     FROM assignment a JOIN partition p ON p.id = a.partition JOIN topic t ON t.id = p.topic
     LEFT JOIN committed c ON c.name = a.name AND c.partition = a.partition
     WHERE a.name = ? AND a.owner = ? ORDER BY a.partition`,
  ).all(group, member) as unknown as (OwnedPartition & { target: string; committed: number | null })[]
  const expiry = sql('SELECT min(lease_until) AS at FROM member WHERE name = ?').get(group)
  return {
    generation: generationOf(sql, group),
    owned: rows.map(({ partition, topic, number, generation, committed }) => ({
      partition,
      topic,
      number,
      generation,
      committed: committed ?? undefined,
    })),
    revoked: rows.filter((row) => row.target !== member).map((row) => row.partition),
    nextExpiry: (expiry?.at as number | null) ?? Number.POSITIVE_INFINITY,
  }
}

function unknownMember(group: string, member: string): OperationalError {
  return new OperationalError(
    'LOG_MEMBER_UNKNOWN',
    `this consumer is no member of group "${group}" any more: its lease ended while the process was stopped or the machine too busy. Nothing was stored; its partitions are read by others. poll() joins again.`,
    { data: { group, member } },
  )
}
