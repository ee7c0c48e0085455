/**
 * The balance of records: what came in is accounted for, or we lost it.
 *
 *   in + copied + restored + made = out + aside + filtered + merged + late + dropped + dead + deduplicated + inFlight + remainder
 *
 * A step either hands on the records it takes, or merges them and makes records of its own (windows, joins). It is
 * the second kind when everything it took is accounted for without its output.
 */
import type { BalanceMessage, BalanceParts, PlanMessage, StepBalance } from './contract.ts'
import { droppedOf, type ObservedCounters } from './observed.ts'

/**
 * @param isSettled true when no record moved since the last commit; only then the parts were read at one moment
 */
export function balanceMessage(
  plan: PlanMessage,
  counters: readonly ObservedCounters[],
  isSettled: boolean,
): BalanceMessage {
  const steps = plan.steps.map((step) => stepBalance(step.i, counters[step.i], isSettled))
  const isSource = (i: number): boolean => plan.steps[i].time !== null
  const isSink = (i: number): boolean => plan.steps[i].guarantee !== null
  const add = (pick: (b: StepBalance) => number): number => steps.reduce((total, b) => total + pick(b), 0)
  const taken = steps.filter((b) => isSource(b.step)).reduce((total, b) => total + b.in, 0)
  const written = steps.filter((b) => isSink(b.step)).reduce((total, b) => total + b.out, 0)
  const copied = copiedRecords(plan, steps)
  const parts = {
    in: taken,
    restored: add((b) => b.restored),
    made: add((b) => b.made),
    out: written,
    aside: add((b) => b.aside),
    filtered: add((b) => b.filtered),
    merged: add((b) => b.merged),
    late: add((b) => b.late),
    dropped: add((b) => b.dropped),
    dead: add((b) => b.dead),
    deduplicated: add((b) => b.deduplicated),
    inFlight: add((b) => b.inFlight),
  }
  const remainder = isSettled ? taken + copied + parts.restored + parts.made - written - spentOf(parts) : null
  return { type: 'balance', flow: plan.flow, planHash: plan.planHash, ...parts, copied, remainder, steps }
}

function stepBalance(step: number, c: ObservedCounters, isSettled: boolean): StepBalance {
  const restored = c.restored ?? 0
  const parts = {
    // What a full buffer dropped is counted as having come in.
    in: c.recordsIn + c.queued,
    restored,
    filtered: c.filtered,
    merged: c.merged,
    late: c.late,
    dropped: droppedOf(c),
    dead: c.dead,
    deduplicated: c.deduplicated,
    inFlight: c.held + c.queued,
  }
  const left = parts.in + restored - spentOf({ ...parts, aside: 0 })
  const isMaker = left === 0
  const made = isMaker ? c.recordsOut : 0
  const aside = isMaker ? 0 : (c.sideOut ?? 0)
  const remainder = isSettled ? left + made - c.recordsOut - aside : null
  return { step, ...parts, made, out: c.recordsOut, aside, remainder }
}

function spentOf(p: Omit<BalanceParts, 'in' | 'restored' | 'made' | 'out' | 'remainder'>): number {
  return p.aside + p.filtered + p.merged + p.late + p.dropped + p.dead + p.deduplicated + p.inFlight
}

/** Arrivals that are no move from step to step: a second reader of the same output, every worker's copy, side outputs. */
function copiedRecords(plan: PlanMessage, steps: readonly StepBalance[]): number {
  let copied = 0
  for (const step of plan.steps) {
    const outgoing = plan.edges.filter((e) => e.from === step.i && e.output === 'out')
    const readers = outgoing.reduce((n, e) => n + (e.kind === 'broadcast' ? plan.workers : 1), 0)
    if (step.guarantee === null) copied += (readers - 1) * steps[step.i].out
    const incoming = plan.edges.filter((e) => e.to === step.i)
    if (incoming.every((e) => e.output === 'out')) continue
    const main = incoming.filter((e) => e.output === 'out').reduce((n, e) => n + steps[e.from].out, 0)
    copied += steps[step.i].in - main
  }
  return copied
}
