/**
 * What a commit knows of sources and sinks, held against the program before anything starts: a source that lost its name
 * would read everything again, a sink that lost its name would write beside what it has written.
 */
import type { Manifest } from '../checkpoint/manifest.ts'
import { UsageError } from '../errors.ts'
import type { Plan } from '../graph/plan.ts'

/**
 * A source may only go when `allowDropped` names it. A sink may go, unless one that the commit does not know comes in its
 * place.
 * @throws UsageError `STATE_MISMATCH` with one line per difference and what to do
 */
export function compareEnds(manifest: Manifest, plan: Plan, allowDropped: readonly string[]): void {
  const sources: string[] = []
  const sinks: string[] = []
  for (const { spec, name, renamedFrom } of plan.nodes) {
    if (spec.type === 'source') sources.push(name, ...renamedFrom)
    if (spec.type === 'sink' && spec.sink.guarantee === 'staged') sinks.push(name, ...renamedFrom)
  }
  const isGone = (known: readonly string[]) => (name: string) => !known.includes(name) && !allowDropped.includes(name)
  const goneSources = Object.keys(manifest.sources).filter(isGone(sources))
  const goneSinks = Object.keys(manifest.sinks).filter(isGone(sinks))
  const newSinks = plan.nodes.filter(({ spec, name, renamedFrom }) => {
    if (spec.type !== 'sink' || spec.sink.guarantee !== 'staged') return false
    return ![name, ...renamedFrom].some((known) => known in manifest.sinks)
  })
  const lines = goneSources.map(
    (name) => `dropped  source "${name}": its positions are in the state, the program has no such source`,
  )
  if (newSinks.length > 0) {
    for (const name of goneSinks)
      lines.push(`dropped  sink "${name}": what it has written is in the state, the program has no such sink`)
    for (const { name } of goneSinks.length > 0 ? newSinks : []) lines.push(`added    sink "${name}"`)
  }
  if (lines.length === 0) return
  throw new UsageError(
    'STATE_MISMATCH',
    `the stored state does not fit this program:\n  ${lines.join('\n  ')}\nNothing was started. If a source or sink got a new name, give it renamedFrom: 'old name'; if it is meant to go, name it in --allow-dropped.`,
    { data: { differences: lines } },
  )
}
