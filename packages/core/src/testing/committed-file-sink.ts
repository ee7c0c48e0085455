/**
 * A staged sink that keeps committed rows in one file on the disk port, as tagged JSON lines. The reference for what a
 * committer does: `restore` cuts the file to the committed length, `publish` appends after it, again and again alike.
 */
import { markedRow } from '../batch/changes.ts'
import type { Position, Sink, SinkContext } from '../connector.ts'
import { OperationalError } from '../errors.ts'
import { parse, stringify } from '../state/codec.ts'

export function committedFileSink(path: string): Sink<unknown> {
  const encoder = new TextEncoder()
  return {
    kind: 'committed file',
    guarantee: 'staged',
    takesChanges: true,
    describe: () => ({ path }),
    open: () => ({
      write(batch) {
        let text = ''
        for (let i = 0; i < batch.length; i++) text += `${stringify(markedRow(batch, i))}\n`
        return encoder.encode(text)
      },
      close() {},
    }),
    committer: (ctx) => committer(path, ctx),
  }
}

/** Rows of a file that `committedFileSink` wrote. */
export function committedRows(content: Uint8Array | undefined): unknown[] {
  const text = new TextDecoder().decode(content ?? new Uint8Array(0))
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => parse(line))
}

function committer(path: string, { disk }: SinkContext): ReturnType<NonNullable<Sink<unknown>['committer']>> {
  const folder = path.slice(0, Math.max(1, path.lastIndexOf('/')))
  const cut = async (length: number): Promise<void> => {
    await disk.makeFolder(folder)
    const file = await disk.open(path, 'append')
    const size = await file.size()
    if (size < length) {
      throw new OperationalError(
        'SINK_SHORT',
        `${path} has ${size} bytes, ${length} were committed; it was changed by others.`,
      )
    }
    await file.truncate(length)
    await file.close()
  }
  return {
    restore: (state) => cut(lengthOf(state)),
    after: (state, stagedBytes) => lengthOf(state) + stagedBytes,
    async publish(from, to, staged) {
      await cut(lengthOf(from))
      const file = await disk.open(path, 'append')
      for await (const bytes of staged) await file.append(bytes)
      await file.sync()
      const size = await file.size()
      await file.close()
      await disk.syncFolder(folder)
      if (size !== lengthOf(to)) {
        throw new OperationalError('SINK_LENGTH', `${path} has ${size} bytes after publishing, expected ${String(to)}.`)
      }
    },
    close() {},
  }
}

function lengthOf(state: Position | undefined): number {
  return typeof state === 'number' ? state : 0
}
