/**
 * Where the time of a CPU profile went, by part of the engine:
 *
 *   node --cpu-prof --cpu-prof-dir=DIR --conditions=millrace-source bench/nexmark/run.ts --query q4 --inline
 *   node --conditions=millrace-source bench/profile/run.ts DIR/*.cpuprofile
 *
 * A sample counts for the file of the innermost function that belongs to a part: what V8's builtins and Node's modules
 * take, counts for the part that called them. The collector's time has no caller.
 */
import { readFileSync } from 'node:fs'

interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string }
  readonly children?: readonly number[]
}

interface Profile {
  readonly nodes: readonly ProfileNode[]
  readonly samples: readonly number[]
  /** us since the sample before. */
  readonly timeDeltas: readonly number[]
}

/** The first part whose pattern fits a function's file is its part. */
const parts: readonly (readonly [part: string, file: RegExp])[] = [
  ['generator', /bench\/nexmark\/(generator|random|texts|numbering)/],
  ['source', /bench\/nexmark\/source|batch\/(column-builder|row-writer)|millrace-writer|runtime\/source-input/],
  ['fused steps', /millrace-chain|runtime\/(fused|chain|interpret)/],
  ['shuffle', /runtime\/(channel|queue|ring|frame|partial-node|doorbell)/],
  ['commit', /checkpoint\/|state\/(codec|section|raw-store|store)|batch\/bytes|runtime\/node-disk/],
  ['state', /src\/state\//],
  ['operators', /src\/(operators|window)\//],
  ['rows and keys', /src\/batch\/|millrace-rows/],
  ['results', /bench\/nexmark\/(results|golden)/],
  ['query', /bench\/nexmark\/(q\d+|valid-bids|scan)\.ts/],
  ['sink and loop', /src\/runtime\/|connectors\/src/],
]

for (const file of process.argv.slice(2)) {
  const shares = sharesOf(JSON.parse(readFileSync(file, 'utf8')) as Profile)
  const total = [...shares.values()].reduce((a, b) => a + b, 0)
  console.log(`${file}: ${(total / 1e6).toFixed(2)} s`)
  for (const [part, us] of [...shares].sort((a, b) => b[1] - a[1])) {
    console.log(`  ${part.padEnd(14)} ${((us / total) * 100).toFixed(1).padStart(5)} %`)
  }
}

function sharesOf({ nodes, samples, timeDeltas }: Profile): Map<string, number> {
  const partOf = partsByNode(nodes)
  const shares = new Map<string, number>()
  samples.forEach((id, i) => {
    const part = partOf.get(id)
    if (part !== undefined) shares.set(part, (shares.get(part) ?? 0) + timeDeltas[i])
  })
  return shares
}

/** Undefined for idle time. */
function partsByNode(nodes: readonly ProfileNode[]): Map<number, string | undefined> {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const found = new Map<number, string | undefined>()
  const visit = (node: ProfileNode, callers: string | undefined): void => {
    const { functionName, url } = node.callFrame
    const own = parts.find(([, file]) => file.test(url))?.[0]
    const part =
      functionName === '(idle)' ? undefined : functionName === '(garbage collector)' ? 'collector' : (own ?? callers)
    found.set(node.id, part)
    for (const child of node.children ?? []) visit(byId.get(child) as ProfileNode, part ?? callers)
  }
  visit(nodes[0], 'start and rest')
  return found
}
