/** Frames taken in one worker and looked at in whichever owns their key. */
import { threadId } from 'node:worker_threads'
import { jsonLines } from '@millrace/connectors/file'
import { framePool, generatedVideo } from '@millrace/connectors/video'
import { dataflow } from 'millrace'

export interface Row {
  readonly number: number
  readonly shade: number
  readonly takenIn: number
  readonly seenIn: number
}

// More slots than frames: however long a worker is kept waiting, none is gone.
const pool = framePool('crossing', { width: 640, height: 360, slots: 48 })
const flow = dataflow('crossing')
flow
  .source('video', generatedVideo({ pool, fps: 50, frames: 40, draw: (pixels, number) => pixels.fill(number) }), {
    time: (frame) => frame.at,
    disorder: '0ms',
  })
  .map((frame) => ({ ...frame, takenIn: threadId }))
  .keyBy((frame) => frame.number % 16)
  .process<Row>('look', () => ({
    onRecord: ({ number, frame, takenIn }, ctx) =>
      ctx.emit({ number, takenIn, seenIn: threadId, shade: pool.read(frame, (p) => p[p.length - 1]) }),
  }))
  .sink('seen', jsonLines({ path: process.env.MILLRACE_TEST_OUT as string }))
export default flow
