/**
 * A process of its own that holds idle connections to a gateway: node crowd.ts URL COUNT. It answers pings, says 'ready'
 * once all are welcome, and ends when it is told anything.
 */
import { connectWebSocket } from '../../src/link/websocket.ts'
import { encodeJson } from '../../src/protocol/codec.ts'
import { FRAME, FrameWriter, parseFrames } from '../../src/protocol/frame.ts'

const [url, count] = [process.argv[2], Number(process.argv[3])]

function message(type: (typeof FRAME)[keyof typeof FRAME], body: Uint8Array = new Uint8Array(0)): Uint8Array {
  const writer = new FrameWriter()
  writer.write(type, 0, 0, 0, 0, body)
  return writer.take()
}

async function join(): Promise<void> {
  const link = await connectWebSocket(url)
  await new Promise<void>((resolve, reject) => {
    link.start({
      onMessage(bytes) {
        for (const { type } of parseFrames(bytes)) {
          if (type === FRAME.PING) link.send(message(FRAME.PONG))
          else if (type === FRAME.WELCOME) resolve()
        }
      },
      onClose: ({ reason }) => reject(new Error(reason)),
    })
    link.send(message(FRAME.HELLO, encodeJson({ version: 1, role: 'client' })))
  })
}

process.once('message', () => process.exit(0))
for (let open = 0; open < count; open += 100) await Promise.all(Array.from({ length: 100 }, join))
process.send?.('ready')
