/**
 * What stored state is, so that a changed program is refused before data flows: step + table + codec + version.
 */
import { UsageError } from '../errors.ts'

export interface StateIdentity {
  readonly step: string
  readonly table: string
  readonly kind: 'entries' | 'numeric'
  readonly codec: string
  readonly version: number
  readonly major?: 'key' | 'sub'
  readonly schema?: string
}

export interface StateDiff {
  /** New state; always allowed. */
  readonly added: readonly StateIdentity[]
  /** State whose step or table is gone or cannot be read, and that `allowDropped` names. */
  readonly dropped: readonly StateIdentity[]
  /** State read by a newer version of its codec, or under a new name of its step. */
  readonly migrated: readonly { readonly saved: StateIdentity; readonly current: StateIdentity }[]
  /** Old step name -> new one, where stored state is found under an old name. */
  readonly renames: ReadonlyMap<string, string>
}

/**
 * Compares the state of a checkpoint with what the program declares.
 * @param renames old step name -> new one, from `renamedFrom`
 * @param allowDropped steps (old names) whose state may go
 * @throws UsageError `STATE_MISMATCH` with one line per difference and what to do
 */
export function compareState(
  saved: readonly StateIdentity[],
  current: readonly StateIdentity[],
  renames: ReadonlyMap<string, string> = new Map(),
  allowDropped: Iterable<string> = [],
): StateDiff {
  const declared = new Map(current.map((identity) => [addressOf(identity.step, identity.table), identity]))
  const steps = new Set(current.map((identity) => identity.step))
  const allowed = new Set(allowDropped)
  const found = new Set<string>()
  const dropped: StateIdentity[] = []
  const migrated: { saved: StateIdentity; current: StateIdentity }[] = []
  const refused: string[] = []
  const renamed = new Map<string, string>()
  for (const old of saved) {
    // A step that still exists keeps its state even when another step claims its name in renamedFrom.
    const step = steps.has(old.step) ? old.step : (renames.get(old.step) ?? old.step)
    const now = declared.get(addressOf(step, old.table))
    if (now === undefined) {
      if (allowed.has(old.step)) dropped.push(old)
      else refused.push(droppedLine(old, steps.has(step)))
      continue
    }
    const change = changeOf(old, now)
    if (change === undefined) found.add(addressOf(step, old.table))
    if (step !== old.step) renamed.set(old.step, step)
    if (change !== undefined && allowed.has(old.step)) dropped.push(old)
    else if (change !== undefined) refused.push(`changed  ${labelOf(old)}: ${change}`)
    else if (old.version !== now.version || old.step !== now.step) migrated.push({ saved: old, current: now })
  }
  const added = current.filter((identity) => !found.has(addressOf(identity.step, identity.table)))
  if (refused.length > 0) {
    const lines = [...refused, ...added.map((identity) => `added    ${labelOf(identity)}`)]
    throw new UsageError(
      'STATE_MISMATCH',
      `the stored state does not fit this program:\n  ${lines.join('\n  ')}\nNothing was started. If a step got a new name, give it renamedFrom: 'old name'; to discard state, name the step in --allow-dropped.`,
      { data: { differences: lines } },
    )
  }
  return { added, dropped, migrated, renames: renamed }
}

function changeOf(old: StateIdentity, now: StateIdentity): string | undefined {
  if (old.kind !== now.kind)
    return `it was a table of ${old.kind}, now of ${now.kind}; give the table or the step another name`
  if (old.codec !== now.codec) {
    return old.kind === 'numeric'
      ? `its aggregates changed (${old.codec}, now ${now.codec}); give the step another name or allow its state to be dropped`
      : `its codec was "${old.codec}", now "${now.codec}"; keep the name and raise the version with a migrate`
  }
  if (old.version > now.version) {
    return `it has version ${old.version} of codec "${old.codec}", this program knows ${now.version}; run the newer program`
  }
  if (
    old.version === now.version &&
    old.schema !== undefined &&
    now.schema !== undefined &&
    old.schema !== now.schema
  ) {
    return `its schema changed (${old.schema}, now ${now.schema}) but the codec's version is still ${now.version}; raise it`
  }
  return undefined
}

function droppedLine(old: StateIdentity, stepExists: boolean): string {
  return `dropped  ${labelOf(old)}: ${stepExists ? 'the step no longer declares this table' : 'no such step any more'}`
}

function labelOf(identity: StateIdentity): string {
  return `step "${identity.step}", table "${identity.table}"`
}

function addressOf(step: string, table: string): string {
  return `${step}\u0000${table}`
}
