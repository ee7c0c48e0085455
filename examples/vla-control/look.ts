/** The step that sees: features of each frame, from pixels that it is lent by reference. */
import type { FramePool } from '@millrace/connectors/video'
import type { KeyedStream, Stream } from 'millrace'
import { lookAt } from './features.ts'
import type { Seen, VisionRecord } from './records.ts'

/**
 * Records that are features already pass as they are. A frame whose pixels are gone (FRAME_GONE: it waited so long that
 * the camera has used its memory again) is counted as dropped; the next one is newer.
 */
export function look(records: KeyedStream<string, VisionRecord>, pool: FramePool | undefined): Stream<Seen> {
  return records.process<Seen>(
    'look',
    (setup) => {
      const blocks = setup.value<readonly number[]>('blocks')
      return {
        onRecord(record, ctx) {
          if ('features' in record) return ctx.emit(record)
          if (pool === undefined) throw new Error('a frame came, and there is no pool that has its pixels')
          const { robot, at, frame } = record
          const seen = pool.read(frame, (pixels) => lookAt(pixels, pool.width, pool.height, blocks.get()))
          blocks.set(seen.blocks)
          ctx.emit({ robot, at, features: seen.features, frame })
        },
      }
    },
    { onError: 'skip' },
  )
}
