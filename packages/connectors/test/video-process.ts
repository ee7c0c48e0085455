/** Plays a video for ever; a test kills it. */
import { framePool, video } from '@millrace/connectors/video'
import { dataflow } from 'millrace'

const [input, ffmpeg] = process.argv.slice(2)
const pool = framePool('killed', { width: 64, height: 48 })
const flow = dataflow('killed')
flow
  .source('video', video({ input, pool, ffmpeg, loop: true }), { time: (frame) => frame.at, disorder: '0ms' })
  .sink('nowhere', {
    kind: 'none',
    guarantee: 'at-least-once',
    describe: () => ({}),
    open: () => ({ write() {}, close() {} }),
  })
await flow.run({ state: `${process.argv[3]}.state` })
