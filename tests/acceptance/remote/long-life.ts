/** What case 10 measures, in the size that is asked: by the test in CI, by `npm run full -- remote-long` in full. */
import { type Command, type Fabric, percentile } from './fabric.ts'

/** A stream of `items`, one each `seconds`; gives how many came. */
export async function slowStream(fabric: Fabric, items: number, seconds: number): Promise<number> {
  const stream = fabric.caller('stream', 'slow_agen', String(items), String(seconds), '--node', 'n1')
  const code = await stream.ended
  if (code !== 0) throw new Error(`the stream was cut after ${stream.lines.length} items: ${stream.stderr}`)
  return stream.lines.length
}

export interface BusyFigures {
  readonly items: number
  /** From the yield on the node to the line here. */
  readonly lagP99Ms: number
  readonly echoP95Ms: number
  readonly echoP99Ms: number
  readonly wasAlwaysListed: boolean
}

/** For each item: calls that waited for it would be seen. */
const STEP_MS = 200

/** A stream on n1 that computes for `seconds` without waiting, with calls of `echo` on n1 beside it. */
export async function busyStream(fabric: Fabric, seconds: number): Promise<BusyFigures> {
  const client = await fabric.client()
  const echo = client.with({ node: 'n1' }).call.echo
  const stream = fabric.caller('stream', 'busy', String(seconds), String(STEP_MS), '--node', 'n1')
  await stream.until(() => stream.lines.length > 0, 'the first item')
  const echoes: number[] = []
  let wasAlwaysListed = true
  while (stream.endedAtMs === 0) {
    const begin = performance.now()
    await echo(1)
    echoes.push(performance.now() - begin)
    if (!(await client.nodes()).some(({ id, lease }) => id === 'n1' && lease > 0)) wasAlwaysListed = false
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  if ((await stream.ended) !== 0) throw new Error(`the stream failed: ${stream.stderr}`)
  return {
    items: stream.lines.length,
    lagP99Ms: percentile(lags(stream), 0.99),
    echoP95Ms: percentile(echoes, 0.95),
    echoP99Ms: percentile(echoes, 0.99),
    wasAlwaysListed,
  }
}

function lags(stream: Command): number[] {
  return stream.lines.map(({ text, atMs }) => atMs - (JSON.parse(text) as { at: number }).at)
}
