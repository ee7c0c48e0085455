/** Case 10 in full size, alone on the machine: 400 s of a slow stream, 50 s of one that computes. A line of JSON. */
import { Fabric } from './fabric.ts'
import { busyStream, slowStream } from './long-life.ts'

const fabric = new Fabric()
try {
  await fabric.gateway('--silent', '15000')
  await fabric.node('n1')
  const items = await slowStream(fabric, 200, 2)
  const busy = await busyStream(fabric, 50)
  const { items: busyItems, wasAlwaysListed, ...p99 } = busy
  process.stdout.write(
    `${JSON.stringify({ slowItems: items, busyItems, timesGone: wasAlwaysListed ? 0 : 1, ...p99 })}\n`,
  )
  const isHeld = items === 200 && wasAlwaysListed && p99.lagP99Ms < 50 && p99.echoP99Ms < 20
  if (!isHeld) process.exitCode = 1
} finally {
  await fabric.close()
}
