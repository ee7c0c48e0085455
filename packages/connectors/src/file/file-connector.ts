/** Makes one value that is both a source and a sink of a file format, so that a format has one name in a program. */
import {
  type Duration,
  type Position,
  positiveDurationMs,
  type Sink,
  type SinkContext,
  type SinkWriter,
  type Source,
  type SourceContext,
  type SourceReader,
  UsageError,
} from 'millrace/connector'
import type { RecordDecoder, Reject } from './decoder.ts'
import { BLOCK_BYTES } from './file-input.ts'
import { type FilePosition, openReader } from './file-reader.ts'
import { type Existing, FileCommitter, FileWriter } from './file-sink.ts'
import { expandPaths, type FilePath, pathTexts, singlePath } from './paths.ts'

/** A file format at a path: give it to `.source()` or to `.sink()`. */
export type FileConnector<T> = Source<T> & Sink<T>

/** What all formats have in common. */
export interface FileOptions {
  /**
   * As a source: a path, a file: URL, a pattern (`*`, `?`, `**`), or a list of them; every file is a partition, and the
   * files are looked up once, when the flow starts. Names that end in `.gz` are uncompressed. As a sink: one path.
   * Relative paths are relative to the working directory of the process.
   */
  readonly path: FilePath
  /**
   * Source: go on reading when the file grows, for ever. A line counts once its line break is there. Default false: the
   * source ends with the file. A file that gets shorter stops the flow with `FILE_TRUNCATED`.
   */
  readonly follow?: boolean
  /** Source: pause between two looks at a followed file that did not grow. Default '200ms': five cheap looks a second. */
  readonly pollEvery?: Duration
  /**
   * Sink: what the first start does with a file that is there and not empty. Default 'refuse': a run whose state was
   * deleted neither overwrites results nor mixes old and new ones.
   */
  readonly existing?: Existing
}

export interface FileFormat<T> {
  readonly kind: string
  /** Further parameters for the plan. */
  readonly describe: Readonly<Record<string, unknown>>
  readonly decoder: (path: string, position: FilePosition, reject: Reject) => RecordDecoder<T>
  /** Can a row show that it is taken back, by a member `$weight`? */
  readonly takesChanges: boolean
  /** Called when a sink opens. @throws UsageError when the options do not say how to write */
  readonly encoding: () => { readonly header: Uint8Array; readonly encode: (row: T) => string | Uint8Array }
}

/** @throws UsageError `FILE_PATH`, `FILE_OPTION`, `DURATION` */
export function fileConnector<T>(options: FileOptions, format: FileFormat<T>): FileConnector<T> {
  const { path, follow = false, pollEvery = '200ms', existing = 'refuse' } = options
  const texts = pathTexts(path)
  const followMs = follow ? positiveDurationMs(pollEvery, 'pollEvery') : undefined
  if (follow && texts.some((text) => text.endsWith('.gz'))) {
    throw new UsageError('FILE_OPTION', 'a compressed file cannot be followed; follow the plain file.')
  }
  if (!['refuse', 'append', 'replace'].includes(existing)) {
    throw new UsageError(
      'FILE_OPTION',
      `existing is ${JSON.stringify(existing)}; it must be 'refuse', 'append' or 'replace'.`,
    )
  }

  const openSource = (partition: string, position: Position | undefined, ctx: SourceContext) =>
    openReader<T>(
      {
        path: partition,
        followMs,
        blockBytes: BLOCK_BYTES,
        decoder: (start, reject) => format.decoder(partition, start, reject),
      },
      position,
      ctx,
    )
  const writeSettings = () => ({ path: singlePath(path), existing, ...format.encoding() })

  return {
    kind: format.kind,
    bounded: !follow,
    replayable: true,
    guarantee: 'staged',
    takesChanges: format.takesChanges,
    describe: () => ({
      path: texts.length === 1 ? texts[0] : texts,
      ...(follow ? { follow } : {}),
      ...format.describe,
    }),
    partitions: (ctx: SourceContext) => expandPaths(path, ctx.disk, follow),
    open: eitherOpen(openSource, (ctx) => new FileWriter<T>(writeSettings(), ctx)),
    committer: (ctx: SinkContext) => new FileCommitter(writeSettings(), ctx),
  }
}

type OpenSource<T> = (partition: string, position: Position | undefined, ctx: SourceContext) => Promise<SourceReader<T>>
type OpenSink<T> = (ctx: SinkContext) => SinkWriter<T>

/** The runtime opens a source with a partition's name and a sink with a context. */
function eitherOpen<T>(openSource: OpenSource<T>, openSink: OpenSink<T>): OpenSource<T> & OpenSink<T> {
  function open(...args: Parameters<OpenSource<T>> | Parameters<OpenSink<T>>): unknown {
    return args.length === 1 ? openSink(args[0]) : openSource(...args)
  }
  return open as OpenSource<T> & OpenSink<T>
}

/** Checks a limit in bytes. @throws UsageError `FILE_OPTION` */
export function bytesOption(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value > 0 && value <= MAX_RECORD_BYTES) return value
  throw new UsageError(
    'FILE_OPTION',
    `${name} is ${value}; it must be a whole number from 1 to ${MAX_RECORD_BYTES} bytes.`,
  )
}

/** A record is held in memory whole, and once more as text. */
const MAX_RECORD_BYTES = 256 * 1024 * 1024

/**
 * A longer record is nearly always a missing line break or a file of another kind; and a reader holds up to this much
 * per partition.
 */
export const DEFAULT_RECORD_BYTES = 1024 * 1024
