/** Entry of the thread that proves that a node lives: a link of its own for each session of the node. */
import { parentPort } from 'node:worker_threads'
import { openLink } from '../address.ts'
import { encodeJson } from '../protocol/codec.ts'
import { FRAME } from '../protocol/frame.ts'
import { PROTOCOL_VERSION } from '../protocol/messages.ts'
import { Session } from '../session/session.ts'
import { realTime } from '../time.ts'
import type { AliveSession } from './alive.ts'

/** The gateway asks; this side only answers, and leaves it to the node to notice a gateway that is gone. */
const NEVER_MS = 2 ** 31 - 1
const BUFFER_BYTES_MAX = 1024 * 1024

let current: Session | undefined

parentPort?.on('message', ({ address, session: name, secret }: AliveSession) => {
  current?.close()
  current = undefined
  openLink(address).then(
    (link) => {
      const session = new Session({
        link,
        time: realTime,
        pingMs: NEVER_MS,
        silentMs: NEVER_MS,
        bufferBytesMax: BUFFER_BYTES_MAX,
        onFrame: () => {},
        onClose: () => {},
      })
      current?.close()
      current = session
      session.start()
      session.send(FRAME.HELLO, 0, encodeJson({ version: PROTOCOL_VERSION, role: 'alive', session: name, secret }))
    },
    // The node's own link says what is wrong.
    () => {},
  )
})
