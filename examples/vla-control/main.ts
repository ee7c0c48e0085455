/**
 * The control loop as a program:
 *
 *   node --conditions=millrace-source examples/vla-control/main.ts --camera street.mp4 --seconds 10
 *
 * Actions go to the standard output, everything else to the standard error. Ctrl-C commits and ends.
 */
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    camera: { type: 'string' },
    language: { type: 'string' },
    log: { type: 'string' },
    seconds: { type: 'string' },
    wait: { type: 'string' },
    state: { type: 'string' },
    workers: { type: 'string', default: '1' },
  },
})
// Worker threads import control.ts as well: what they must know goes through the environment.
for (const name of ['camera', 'language', 'log', 'seconds', 'wait'] as const) {
  const value = values[name]
  if (value !== undefined) process.env[`VLA_${name.toUpperCase()}`] = value
}
const { default: flow } = await import('./control.ts')

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())
process.once('SIGTERM', () => stop.abort())
await flow.run({
  ...(values.state === undefined ? {} : { state: values.state }),
  workers: Number(values.workers),
  signal: stop.signal,
  onEvent(event) {
    if (event.type === 'log') process.stderr.write(`${event.message}\n`)
    if (event.type === 'restart') process.stderr.write(`starts again: ${event.error.describe()}\n`)
  },
})
