/** The plan as a message: what every other message's step and edge indices refer to. */
import type { PlanEdge, PlanMessage, PlanStep } from './contract.ts'
import type { ObservedNode, ObservedPlan } from './observed.ts'

/** Pure: the same plan gives the same message. */
export function planMessage(plan: ObservedPlan): PlanMessage {
  const stageOf = new Map<number, ObservedPlan['stages'][number]>()
  for (const stage of plan.stages) for (const node of stage.nodes) stageOf.set(node.id, stage)
  const heads = fusedHeads(plan)
  const steps = plan.nodes.map((node, i): PlanStep => {
    const stage = stageOf.get(node.id)
    return {
      i,
      name: node.name,
      isNamed: node.isNamed,
      kind: node.kind,
      stage: stage?.id ?? 0,
      tasks: stage?.parallel === 'single' ? 1 : plan.workers,
      at: node.at ?? null,
      time: node.spec.type === 'source' ? (node.spec.options.time === 'processing' ? 'processing' : 'event') : null,
      bounded: node.spec.type === 'source' ? node.spec.source.bounded === true : null,
      order: node.determinism,
      guarantee: guaranteeOf(node),
      fusedWith: heads.get(node.id) ?? null,
      connector:
        node.spec.type === 'source' ? node.spec.source.kind : node.spec.type === 'sink' ? node.spec.sink.kind : null,
      detail: detailOf(node),
    }
  })
  const channels = new Map(plan.channels.map((channel) => [`${channel.to.id}/${channel.input}`, channel]))
  const edges: PlanEdge[] = []
  for (const node of plan.nodes) {
    node.inputs.forEach((input, index) => {
      const channel = channels.get(`${node.id}/${index}`)
      edges.push({
        i: edges.length,
        from: input.from.id,
        to: node.id,
        output: input.output,
        kind: channel?.kind ?? 'fused',
        capacity: channel?.capacity ?? null,
        whenFull: channel?.whenFull ?? null,
      })
    })
  }
  return { type: 'plan', flow: plan.flow, planHash: plan.hash, workers: plan.workers, steps, edges }
}

/** By step without state: the first one of the chain that the runtime compiles into one loop with it. */
function fusedHeads(plan: ObservedPlan): Map<number, number> {
  const readers = new Map<number, number>()
  for (const node of plan.nodes) {
    for (const { from } of node.inputs) readers.set(from.id, (readers.get(from.id) ?? 0) + 1)
  }
  const cut = new Set(plan.channels.map((channel) => `${channel.to.id}/${channel.input}`))
  const inline = new Set(plan.nodes.filter((node) => node.spec.type === 'inline').map((node) => node.id))
  const heads = new Map<number, number>()
  for (const node of plan.nodes) {
    if (!inline.has(node.id)) continue
    const [{ from, output }] = node.inputs
    const isFused = inline.has(from.id) && output === 'out' && readers.get(from.id) === 1 && !cut.has(`${node.id}/0`)
    if (isFused) heads.set(node.id, heads.get(from.id) ?? from.id)
  }
  return heads
}

function guaranteeOf(node: ObservedNode): PlanStep['guarantee'] {
  if (node.spec.type !== 'sink') return null
  const { guarantee } = node.spec.sink
  return guarantee === 'staged' ? 'exactly-once' : guarantee === 'idempotent' ? 'idempotent' : 'at-least-once'
}

function detailOf(node: ObservedNode): Readonly<Record<string, unknown>> {
  switch (node.spec.type) {
    case 'source': {
      const { time, disorderMs, idleAfterMs } = node.spec.options
      return {
        ...node.spec.source.describe(),
        ...(time === 'processing' ? {} : { disorderMs }),
        ...(idleAfterMs === undefined ? {} : { idleAfterMs }),
      }
    }
    case 'sink':
      return node.spec.sink.describe()
    case 'operator':
      return node.spec.describe ?? {}
    default:
      return {}
  }
}
