/** `logTopic`: a topic of the embedded log as source and as sink of a flow. */
import {
  type Position,
  type Sink,
  type SinkContext,
  type SinkWriter,
  type Source,
  type SourceContext,
  UsageError,
} from 'millrace/connector'
import { checkSchema, type StandardSchema } from '../file/standard-schema.ts'
import { Admin } from './admin.ts'
import type { Beginning } from './client.ts'
import { type FormatName, formatOf, type RecordFormat } from './formats.ts'
import { holdParts, type LogParts } from './log.ts'
import { TopicCommitter, TopicWriter } from './log-sink.ts'
import { TopicReader } from './log-source.ts'
import { checkBeginning, checkName, wholeNumber } from './names.ts'

/** A topic: give it to `.source()` or to `.sink()`. */
export type TopicConnector<T> = Source<T> & Sink<T>

export interface LogTopicOptions<T> {
  /** Folder of the log. Default: that of the run, `flow.run({ log })` or `millrace run --log`, which is `.millrace/log`. */
  readonly log?: string
  readonly topic: string
  /** Makes the topic with this many partitions when there is none; one that exists must have as many. A sink needs none: 1. */
  readonly partitions?: number
  /** Sink: key of a row's record. Records of a key lie in one partition, in order. Default: none. */
  readonly key?: (row: T) => string | Uint8Array | null
  /** Default 'json'. */
  readonly format?: FormatName | RecordFormat<T>
  /** Source: a Standard Schema that every row must fit; others are `SCHEMA_MISS`. */
  readonly schema?: StandardSchema<T>
  /** Source: go on for ever. Default true; false ends where the topic ends when the flow starts. */
  readonly follow?: boolean
  /** Source: where a flow without state begins; `{ time }` is the time of records, in ms since the epoch. Default 'earliest'. */
  readonly from?: Beginning
  /** Sink: what a first start does when this sink has published before, under state that is gone. Default 'refuse'. */
  readonly existing?: 'refuse' | 'append'
}

/**
 * Reads or writes a topic of the embedded log.
 *
 * As a source its partitions are those of the topic, its positions are offsets, and new records are there about a
 * millisecond after their commit. As a sink it is exactly-once: each commit's records become visible together.
 *
 * @throws UsageError `LOG_NAME`, `LOG_OPTION`, `LOG_PARTITIONS`, `SCHEMA_SHAPE`
 * @throws OperationalError while running: `LOG_TOPIC_UNKNOWN`, `LOG_OFFSET_GONE`, `LOG_SINK_EXISTS`, `LOG_SINK_BEHIND`, and those of `openLog`
 * @example logTopic({ topic: 'readings' }).describe() // => { topic: 'readings', format: 'json' }
 */
export function logTopic<T>(options: LogTopicOptions<T>): TopicConnector<T> {
  const { log, key, schema, follow = true, from = 'earliest', existing = 'refuse' } = options
  const topic = checkName('topic', options.topic)
  const partitions =
    options.partitions === undefined ? undefined : wholeNumber('partitions', options.partitions, 1, 1024)
  const format = formatOf<T>(options.format ?? 'json')
  if (schema !== undefined) checkSchema(schema)
  checkBeginning(from)
  if (!['refuse', 'append'].includes(existing))
    throw new UsageError('LOG_OPTION', `existing is ${JSON.stringify(existing)}; it must be 'refuse' or 'append'.`)

  return {
    kind: 'log.topic',
    bounded: !follow,
    replayable: true,
    guarantee: 'staged',
    takesChanges: format.takesChanges ?? false,
    describe: () => ({
      ...(log === undefined ? {} : { log }),
      topic,
      ...(partitions === undefined ? {} : { partitions }),
      format: format.name,
      ...(follow ? {} : { follow }),
    }),
    async partitions(ctx: SourceContext) {
      return withLog(log ?? ctx.logFolder, async (parts) => {
        if (partitions !== undefined) await ensure(parts, topic, partitions, undefined)
        return parts.reader.partitions(topic).map((place) => String(place.partition))
      })
    },
    open: either(
      async (partition: string, position: Position | undefined, ctx: SourceContext) => {
        const { parts, giveBack } = await holdParts(log ?? ctx.logFolder)
        try {
          return new TopicReader<T>({ topic, follow, from, format, schema }, parts, partition, position, ctx, giveBack)
        } catch (thrown) {
          await giveBack()
          throw thrown
        }
      },
      (ctx: SinkContext) => new TopicWriter<T>({ topic, key, format, existing }, ctx),
    ),
    async committer(ctx: SinkContext) {
      const { parts, giveBack } = await holdParts(log ?? ctx.logFolder)
      try {
        await ensure(parts, topic, partitions, ctx.step)
        return new TopicCommitter({ topic, existing }, parts, ctx, giveBack)
      } catch (thrown) {
        await giveBack()
        throw thrown
      }
    },
  }
}

async function withLog<R>(folder: string, body: (parts: LogParts) => Promise<R>): Promise<R> {
  const { parts, giveBack } = await holdParts(folder)
  try {
    return await body(parts)
  } finally {
    await giveBack()
  }
}

/** @throws UsageError `LOG_PARTITIONS` when the topic has another number of them */
async function ensure(
  log: LogParts,
  topic: string,
  partitions: number | undefined,
  step: string | undefined,
): Promise<void> {
  await new Admin(log).ensureTopic(topic, { partitions: partitions ?? 1 })
  const found = log.reader.partitions(topic).length
  if (partitions === undefined || found === partitions) return
  throw new UsageError(
    'LOG_PARTITIONS',
    `topic "${topic}" has ${found} partitions, the flow says ${partitions}: keys would go to other partitions than before. Say { partitions: ${found} }, or use another topic.`,
    { ...(step === undefined ? {} : { step }), data: { topic, found, partitions } },
  )
}

type OpenSource<T> = (partition: string, position: Position | undefined, ctx: SourceContext) => Promise<TopicReader<T>>
type OpenSink<T> = (ctx: SinkContext) => SinkWriter<T>

/** The runtime opens a source with a partition's name and a sink with a context. */
function either<T>(openSource: OpenSource<T>, openSink: OpenSink<T>): OpenSource<T> & OpenSink<T> {
  function open(...args: Parameters<OpenSource<T>> | Parameters<OpenSink<T>>): unknown {
    return args.length === 1 ? openSink(args[0]) : openSource(...args)
  }
  return open as OpenSource<T> & OpenSink<T>
}
