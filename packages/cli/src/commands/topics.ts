/** `millrace topics`: the topics of an embedded log, from the command line. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Log, TopicDescription } from '@millrace/connectors/log'
import { Command, InvalidArgumentError } from 'commander'
import { type Duration, OperationalError, UsageError } from 'millrace'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { duration, pastTime, wholeNumber } from '../parse-options.ts'
import { padEnd } from '../terminal/style.ts'
import { type ProduceOptions, produce } from './topics-produce.ts'
import { type TailOptions, tail } from './topics-tail.ts'

const DEFAULT_LOG = '.millrace/log'

const AFTER_HELP = `
Examples:
  millrace topics create orders --partitions 4
  millrace topics produce orders --key customer < orders.jsonl
  millrace topics tail orders --from-beginning --max 10 --json
  millrace topics tail orders --since 10m
  millrace topics reset orders --group billing --to earliest`

interface WithLog {
  readonly log: string
}

interface CreateOptions extends WithLog {
  readonly partitions: number
  readonly retention?: Duration | 'forever'
  readonly retentionBytes?: number
  readonly compact: boolean
}

interface ResetOptions extends WithLog {
  readonly group?: string
  readonly to?: 'earliest' | 'latest' | number
  readonly toTime?: number
  readonly records: boolean
}

export function topicsCommand(io: Io, exit: Exit): Command {
  const topics = new Command('topics')
    .description('list, make, read and write the topics of an embedded log')
    .addHelpText('after', AFTER_HELP)
  const add = (name: string, description: string): Command =>
    topics.command(name).description(description).option('--log <dir>', 'folder of the log', DEFAULT_LOG)

  add('list', 'list the topics')
    .option('--json', 'one JSON document', false)
    .action((options: WithLog & { readonly json: boolean }) =>
      withLog(options.log, io, true, async (log) => {
        const names = await log.admin.listTopics()
        const described = await Promise.all(names.map((name) => log.admin.describe(name)))
        if (options.json) io.stdout.write(`${JSON.stringify({ topics: described }, null, 2)}\n`)
        else io.stdout.write(`${listText(described)}\n`)
      }),
    )

  add('create', 'make a topic; the log, too, when there is none')
    .argument('<topic>')
    .option('--partitions <n>', 'fixed for the life of the topic', wholeNumber(1, 1024), 1)
    .option('--retention <duration>', "how long records stay: '7d', '1h', 'forever' (default: 7d)", retention)
    .option('--retention-bytes <n>', 'bytes a partition may hold', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--compact', 'only the newest record of each key stays', false)
    .action((topic: string, { log: folder, ...options }: CreateOptions) =>
      withLog(folder, io, false, async (log) => {
        await log.admin.createTopic(topic, options)
        const { partitions } = options
        io.stdout.write(`made topic ${topic} with ${partitions} partition${partitions === 1 ? '' : 's'} in ${folder}\n`)
      }),
    )

  add('describe', 'show partitions, and how far groups are')
    .argument('<topic>')
    .option('--json', 'one JSON document', false)
    .action((topic: string, options: WithLog & { readonly json: boolean }) =>
      withLog(options.log, io, true, async (log) => {
        const description = await log.admin.describe(topic)
        const groups = await groupsOf(log, topic)
        if (options.json) io.stdout.write(`${JSON.stringify({ ...description, groups }, null, 2)}\n`)
        else io.stdout.write(`${describeText(description, groups)}\n`)
      }),
    )

  add('produce', 'append a record per line of stdin: JSON, stored as it is')
    .argument('<topic>')
    .option('--key <field>', 'the field of each line that is the key; a.b reaches into objects')
    .option('--fixed-key <text>', 'one key for all lines')
    .action((topic: string, options: WithLog & ProduceOptions) =>
      withLog(options.log, io, true, (log) => produce(log, topic, options, process.stdin, io)),
    )

  add('tail', 'print records as they come')
    .argument('<topic>')
    .option('--from-beginning', 'begin with the first record that is left, not with the next to come', false)
    .option('--since <time>', 'begin with records of this time: 10m (ago), 2026-01-31T12:00:00Z, or ms', pastTime)
    .option('--max <n>', 'end after this many records', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--json', 'a JSON object per record, with partition, offset, time and key', false)
    .action((topic: string, options: WithLog & TailOptions) =>
      withLog(options.log, io, true, async (log) => exit(await tail(log, topic, options, io))),
    )

  add('delete', 'remove a topic, its records, and what groups and flows remember of it')
    .argument('<topic>')
    .action((topic: string, options: WithLog) =>
      withLog(options.log, io, true, async (log) => {
        await log.admin.deleteTopic(topic)
        io.stdout.write(`removed topic ${topic}\n`)
      }),
    )

  add('reset', "set where a group goes on, or remove a topic's records")
    .argument('<topic>')
    .option('--group <name>', 'the group, which must have no members now')
    .option('--to <where>', 'earliest, latest or an offset (default: earliest)', where)
    .option('--to-time <time>', 'the first record of this time: 10m (ago), 2026-01-31T12:00:00Z, or ms', pastTime)
    .option('--records', 'remove all records; offsets go on', false)
    .action((topic: string, options: ResetOptions) =>
      withLog(options.log, io, true, (log) => reset(log, topic, options, io)),
    )
  return topics
}

/** Only `create` makes a log; a mistyped --log must not leave an empty one behind. */
async function withLog(folder: string, io: Io, mustExist: boolean, body: (log: Log) => Promise<void>): Promise<void> {
  const absolute = path.resolve(io.cwd, folder)
  if (mustExist && !existsSync(path.join(absolute, 'log.db'))) {
    throw new OperationalError(
      'LOG_MISSING',
      `there is no log in "${folder}". Make one: millrace topics create NAME --log ${folder}, or name its folder with --log.`,
      { data: { folder } },
    )
  }
  const { openLog } = await import('@millrace/connectors/log')
  const log = await openLog(absolute)
  try {
    await body(log)
  } finally {
    await log.close()
  }
}

async function reset(log: Log, topic: string, { group, to, toTime, records }: ResetOptions, io: Io): Promise<void> {
  if ((group === undefined) !== records) {
    throw new UsageError(
      'TOPICS_RESET',
      `say what to reset: --group NAME sets where that group goes on, --records removes the records of topic "${topic}". Nothing was changed.`,
    )
  }
  if (to !== undefined && toTime !== undefined)
    throw new UsageError('TOPICS_RESET', 'say --to or --to-time, not both. Nothing was changed.')
  if (group !== undefined) {
    await log.admin.resetOffsets(group, topic, toTime === undefined ? (to ?? 'earliest') : { time: toTime })
    const place = toTime === undefined ? (to ?? 'earliest') : new Date(toTime).toISOString()
    io.stdout.write(`group ${group} goes on at ${place} of topic ${topic}\n`)
    return
  }
  const { partitions } = await log.admin.describe(topic)
  let removed = 0
  for (const { partition, first, next } of partitions) {
    await log.admin.deleteRecords(topic, partition, next)
    removed += next - first
  }
  io.stdout.write(`removed ${removed} records of topic ${topic}; offsets go on\n`)
}

interface GroupRow {
  readonly group: string
  readonly members: number
  readonly partition: number
  readonly committed: number
  readonly lag: number
}

async function groupsOf(log: Log, topic: string): Promise<GroupRow[]> {
  const rows: GroupRow[] = []
  for (const { name: group, members } of await log.admin.listGroups()) {
    for (const { topic: of, partition, committed, lag } of await log.admin.offsets(group))
      if (of === topic) rows.push({ group, members, partition, committed, lag })
  }
  return rows
}

function listText(topics: readonly TopicDescription[]): string {
  if (topics.length === 0) return 'no topics. Make one: millrace topics create NAME'
  const rows = topics.map(({ name, partitions, compact, retentionMs }) => [
    name,
    String(partitions.length),
    String(partitions.reduce((sum, { first, next }) => sum + next - first, 0)),
    String(partitions.reduce((sum, { bytes }) => sum + bytes, 0)),
    compact ? 'newest per key' : retentionMs === null ? 'forever' : `${retentionMs / 3_600_000} h`,
  ])
  return table(['TOPIC', 'PARTITIONS', 'RECORDS', 'BYTES', 'KEPT'], rows)
}

function describeText({ partitions }: TopicDescription, groups: readonly GroupRow[]): string {
  const places = partitions.map(({ partition, first, next, bytes }) => [partition, first, next, bytes].map(String))
  const parts = [table(['PARTITION', 'FIRST', 'NEXT', 'BYTES'], places)]
  if (groups.length > 0) {
    const rows = groups.map((g) => [g.group, ...[g.members, g.partition, g.committed, g.lag].map(String)])
    parts.push(table(['GROUP', 'MEMBERS', 'PARTITION', 'COMMITTED', 'LAG'], rows))
  }
  return parts.join('\n\n')
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i].length)))
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, i) => padEnd(cell, widths[i]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function retention(text: string): Duration | 'forever' {
  return text === 'forever' ? text : duration(text)
}

function where(text: string): 'earliest' | 'latest' | number {
  if (text === 'earliest' || text === 'latest') return text
  if (/^\d+$/.test(text)) return Number(text)
  throw new InvalidArgumentError('It must be earliest, latest or an offset.')
}
