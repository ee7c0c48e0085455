/**
 * Where the time of a CPU profile went, by part. A sample counts for the file of the innermost function that belongs to a
 * part: what V8's builtins and files of no part take, counts for the part that called them. The collector's time has no caller.
 */
interface ProfileNode {
  readonly id: number
  readonly callFrame: { readonly functionName: string; readonly url: string }
  readonly children?: readonly number[]
}

export interface CpuProfile {
  readonly nodes: readonly ProfileNode[]
  readonly samples: readonly number[]
  /** us since the sample before. */
  readonly timeDeltas: readonly number[]
}

/** The first part whose pattern fits a function's file is its part. */
export type Parts = readonly (readonly [part: string, file: RegExp])[]

export const REST = 'start and rest'
export const COLLECTOR = 'collector'

/** Microseconds by part, without idle time. */
export function sharesOf({ nodes, samples, timeDeltas }: CpuProfile, parts: Parts): Map<string, number> {
  const partOf = partsByNode(nodes, parts)
  const shares = new Map<string, number>()
  samples.forEach((id, i) => {
    const part = partOf.get(id)
    if (part !== undefined) shares.set(part, (shares.get(part) ?? 0) + timeDeltas[i])
  })
  return shares
}

/** Undefined for idle time. */
function partsByNode(nodes: readonly ProfileNode[], parts: Parts): Map<number, string | undefined> {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const found = new Map<number, string | undefined>()
  const visit = (node: ProfileNode, callers: string | undefined): void => {
    const { functionName, url } = node.callFrame
    const own = parts.find(([, file]) => file.test(url))?.[0]
    const part =
      functionName === '(idle)' ? undefined : functionName === '(garbage collector)' ? COLLECTOR : (own ?? callers)
    found.set(node.id, part)
    for (const child of node.children ?? []) visit(byId.get(child) as ProfileNode, part ?? callers)
  }
  visit(nodes[0], REST)
  return found
}
