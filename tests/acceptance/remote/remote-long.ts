/** Case 10 in full size, alone on the machine: 400 s of a slow stream, 50 s of one that computes. A line of JSON. */
import { Fabric } from './fabric.ts'
import { busyStream, slowStream } from './long-life.ts'

const fabric = new Fabric()
try {
  await fabric.gateway('--silent', '15000')
  await fabric.node('n1')
  const items = await slowStream(fabric, 200, 2)
  const busy = await busyStream(fabric, 50)
  const isHeld = items === 200 && busy.wasAlwaysListed && busy.lagP99Ms < 50 && busy.echoP99Ms < 20
  process.stdout.write(`${JSON.stringify({ slowItems: items, ...busy, isHeld })}\n`)
  if (!isHeld) process.exitCode = 1
} finally {
  await fabric.close()
}
