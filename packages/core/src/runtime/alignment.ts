/**
 * Slots in which the sources of a run publish their watermarks, so that none runs far ahead of those it will meet.
 * A slot per node and worker; only those of sources are used.
 */
import type { Plan } from '../graph/plan.ts'
import type { Alignment } from './source-input.ts'

/** Slots of a run: NaN where nothing is active. */
export function newAlignmentSlots(plan: Plan): Float64Array<SharedArrayBuffer> {
  return new Float64Array(new SharedArrayBuffer(plan.workers * plan.nodes.length * 8)).fill(Number.NaN)
}

/**
 * The view of one worker. Readers in other threads may see a value a moment late, which only delays or shortens a pause.
 * A source that has given no record yet (its watermark is -Infinity) holds nobody back: it may never give one.
 */
export function alignmentOver(slots: Float64Array, plan: Plan, worker: number): Alignment {
  const count = plan.nodes.length
  const group = meetingGroups(plan)
  return {
    publish(node, watermark) {
      slots[worker * count + node] = watermark
    },
    slowest(node) {
      let slowest = Number.POSITIVE_INFINITY
      for (let i = 0; i < slots.length; i++) {
        if (group[i % count] !== group[node]) continue
        const own = slots[i]
        if (own < slowest && own !== Number.NEGATIVE_INFINITY) slowest = own
      }
      return slowest
    },
  }
}

/** Nodes whose records can meet have one group: the connected parts of the graph. */
function meetingGroups(plan: Plan): number[] {
  const group = plan.nodes.map((node) => node.id)
  const find = (i: number): number => (group[i] === i ? i : (group[i] = find(group[i])))
  for (const node of plan.nodes) for (const input of node.inputs) group[find(node.id)] = find(input.from.id)
  return plan.nodes.map((node) => find(node.id))
}
