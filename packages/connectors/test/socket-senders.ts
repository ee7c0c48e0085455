/**
 * A process of senders for the test with many connections: node socket-senders.ts PORT FIRST COUNT LINES.
 * Connection `c` of FIRST .. FIRST + COUNT - 1 behaves by `c % 10`: 0 sends an endless line, 1 garbage, 2 resets the
 * connection inside a line, 3 sends single bytes; the others send LINES lines. Prints 'open' once all are connected, and
 * 'done' with what it sent as JSON once the good ones have had their lines acknowledged.
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const [port, first, count, lines] = process.argv.slice(2).map(Number)
/** A burst of connections beyond the backlog of the server waits for seconds. */
const OPENING_MAX = 200

const sockets: Socket[] = []
for (let from = 0; from < count; from += OPENING_MAX) {
  const opening = Array.from({ length: Math.min(OPENING_MAX, count - from) }, () => {
    const socket = connect(port, '127.0.0.1')
    sockets.push(socket)
    return new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  })
  await Promise.all(opening)
}
for (const socket of sockets) socket.on('error', () => {})
console.log('open')

let good = 0
let garbage = 0
const sending = sockets.map(async (socket, i) => {
  const c = first + i
  switch (c % 10) {
    case 0:
      for (let k = 0; k < 20 && !socket.destroyed; k++) {
        socket.write('x'.repeat(10_000))
        await sleep(20)
      }
      return
    case 1:
      socket.write(Buffer.from([0xff, 0x00, 0x0a, 0x7b, 0x0a]))
      garbage += 2
      return
    case 2:
      socket.write(`{"c":${c},"n":`)
      await sleep(50)
      socket.resetAndDestroy()
      return
    case 3:
      for (const byte of Buffer.from(`{"c":${c},"n":0}\n`)) {
        socket.write(Buffer.of(byte))
        await sleep(5)
      }
      good++
      return
    default: {
      let acknowledged = 0
      const committed = new Promise<void>((resolve) => {
        socket.on('data', (chunk) => {
          acknowledged = Number(String(chunk).trim().split('\n').at(-1))
          if (acknowledged === lines) resolve()
        })
      })
      for (let n = 0; n < lines; n++) socket.write(`{"c":${c},"n":${n}}\n`)
      good += lines
      await committed
    }
  }
})
await Promise.all(sending)
console.log(JSON.stringify({ good, garbage }))
// The endless lines stay open until the test has seen what it wants.
process.stdin.resume()
process.stdin.once('end', () => process.exit(0))
