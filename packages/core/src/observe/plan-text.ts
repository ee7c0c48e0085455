/** The plan for people: as text for the terminal, as a Mermaid flowchart for documents. Both read the `plan` message. */
import type { PlanEdge, PlanMessage, PlanStep } from './contract.ts'

/**
 * Stages as blocks, steps in the order records pass them, channels below. Lines are not cut to a width: a plan is
 * copied into issues and compared.
 */
export function planText(plan: PlanMessage): string {
  const stages = stagesOf(plan)
  const lines = [
    `flow ${plan.flow}`,
    `${count(plan.steps.length, 'step')} in ${count(stages.length, 'stage')} on ${count(plan.workers, 'worker')}, plan ${plan.planHash}`,
  ]
  const nameWidth = Math.max(...plan.steps.map((s) => label(s).length))
  const kindWidth = Math.max(...plan.steps.map((s) => s.kind.length))
  for (const { id, steps } of stages) {
    const where =
      plan.workers === 1 ? '' : steps[0].tasks === 1 ? ', on worker 0 alone' : `, on each of ${plan.workers} workers`
    lines.push('', `stage ${id + 1}${where}`)
    let before: number | undefined
    for (const step of steps) {
      const from = fusedInputs(plan, step, before)
      const facts = [from, ...factsOf(step)].filter((f) => f !== '').join(', ')
      const at = step.at === null ? '' : `  (${step.at})`
      lines.push(`  ${label(step).padEnd(nameWidth)}  ${step.kind.padEnd(kindWidth)}  ${facts}${at}`.trimEnd())
      before = step.i
    }
  }
  const channels = plan.edges.filter((e) => e.kind !== 'fused')
  if (channels.length > 0) {
    lines.push('', 'channels')
    const rows = channels.map((e) => ({
      way: `${source(plan, e)} -> ${plan.steps[e.to].name}`,
      how: channelText(plan, e),
    }))
    const width = Math.max(...rows.map((r) => r.way.length))
    for (const { way, how } of rows) lines.push(`  ${way.padEnd(width)}  ${how}`)
  }
  const warnings = warningsOf(plan)
  if (warnings.length > 0) lines.push('', 'good to know', ...warnings.map((w) => `  ${w}`))
  return `${lines.join('\n')}\n`
}

/** A flowchart with a box per stage. Names are quoted, so whatever a step is called stays text. */
export function planMermaid(plan: PlanMessage): string {
  const lines = ['flowchart LR']
  for (const { id, steps } of stagesOf(plan)) {
    lines.push(`  subgraph stage${id + 1}["stage ${id + 1}${tasksText(plan, steps[0])}"]`)
    for (const step of steps) lines.push(`    s${step.i}${shape(step)}`)
    lines.push('  end')
  }
  for (const e of plan.edges) {
    const side = e.output === 'out' ? '' : e.output
    const text = [side, e.kind === 'fused' || e.kind === 'queue' ? '' : KINDS[e.kind]]
      .filter((t) => t !== '')
      .join(', ')
    const arrow = e.kind === 'fused' ? '-->' : '==>'
    lines.push(`  s${e.from} ${arrow}${text === '' ? '' : `|"${quoted(text)}"|`} s${e.to}`)
  }
  return `${lines.join('\n')}\n`
}

const KINDS: Readonly<Record<Exclude<PlanEdge['kind'], 'fused'>, string>> = {
  queue: 'queue',
  key: 'by key',
  single: 'to one worker',
  broadcast: 'to every worker',
}

const FULL_TEXT: Readonly<Record<string, string>> = {
  block: 'blocks when full',
  'drop-oldest': 'drops the oldest when full',
  'drop-newest': 'drops the newest when full',
  error: 'fails when full',
}

function channelText(plan: PlanMessage, e: PlanEdge): string {
  const across = plan.workers > 1 && e.kind !== 'queue' ? ' between each two workers' : ''
  return `${KINDS[e.kind as 'queue']}, ${e.capacity ?? 0} records${across}, ${FULL_TEXT[e.whenFull ?? 'block'] ?? e.whenFull}`
}

function stagesOf(plan: PlanMessage): { id: number; steps: PlanStep[] }[] {
  const stages = new Map<number, PlanStep[]>()
  for (const step of plan.steps) stages.set(step.stage, [...(stages.get(step.stage) ?? []), step])
  return [...stages].sort(([a], [b]) => a - b).map(([id, steps]) => ({ id, steps }))
}

/** Where a step's records come from, unless it is the line above. */
function fusedInputs(plan: PlanMessage, step: PlanStep, before: number | undefined): string {
  const inputs = plan.edges.filter((e) => e.to === step.i)
  const fused = inputs.filter((e) => e.kind === 'fused')
  if (
    fused.length === 0 ||
    (fused.length === 1 && inputs.length === 1 && fused[0].from === before && fused[0].output === 'out')
  )
    return ''
  return `from ${inputs.map((e) => source(plan, e)).join(' and ')}`
}

function source(plan: PlanMessage, e: PlanEdge): string {
  return e.output === 'out' ? plan.steps[e.from].name : `${plan.steps[e.from].name}.${e.output}`
}

function label(step: PlanStep): string {
  return step.isNamed ? step.name : '-'
}

function factsOf(step: PlanStep): string[] {
  const { disorderMs, idleAfterMs, ...rest } = step.detail
  const inner = Object.entries(rest)
    .filter(([, value]) => value !== undefined && value !== null)
    .map(([name, value]) => detailText(name, value))
  const facts =
    step.connector === null ? inner : [`${step.connector}${inner.length === 0 ? '' : `(${inner.join(', ')})`}`]
  if (step.time !== null)
    facts.push(step.time === 'processing' ? 'processing time' : `event time, disorder ${ms(disorderMs)}`)
  if (idleAfterMs !== undefined) facts.push(`idle after ${ms(idleAfterMs)}`)
  if (step.guarantee !== null) facts.push(step.guarantee)
  if (step.order === 'timed' && step.time === null && step.guarantee === null) facts.push('depends on timing')
  return facts
}

/** `{ window: { type: 'time', sizeMs: 10000 } }` reads `window time (size 10 s)`. */
function detailText(name: string, value: unknown): string {
  if (name.length > 2 && name.endsWith('Ms') && typeof value === 'number') return `${name.slice(0, -2)} ${ms(value)}`
  if (Array.isArray(value)) return `${name} ${value.map((item) => plainValue(item)).join(' ')}`
  if (typeof value !== 'object' || value === null) return value === true ? name : `${name} ${plainValue(value)}`
  const { type, ...rest } = value as Record<string, unknown>
  const inner = Object.entries(rest)
    .filter(([, item]) => item !== undefined && item !== null)
    .map(([key, item]) => detailText(key, item))
  const head = typeof type === 'string' ? `${name} ${type}` : name
  return inner.length === 0 ? head : `${head} (${inner.join(', ')})`
}

function plainValue(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
}

function warningsOf(plan: PlanMessage): string[] {
  const warnings: string[] = []
  for (const step of plan.steps) {
    if (step.guarantee === 'at-least-once')
      warnings.push(`sink "${step.name}" is at-least-once: after a crash it may get some records twice.`)
    if (step.time === 'event' && step.bounded === false && step.detail.idleAfterMs === undefined) {
      warnings.push(`source "${step.name}" has no idleAfter: while one of its partitions is quiet, no window closes.`)
    }
  }
  return warnings
}

function ms(value: unknown): string {
  const n = Number(value)
  if (!Number.isFinite(n)) return 'without limit'
  if (n !== 0 && n % 60_000 === 0) return `${n / 60_000} min`
  return n !== 0 && n % 1000 === 0 ? `${n / 1000} s` : `${n} ms`
}

function tasksText(plan: PlanMessage, step: PlanStep): string {
  return plan.workers === 1 ? '' : step.tasks === 1 ? ', one worker' : `, ${plan.workers} workers`
}

function shape(step: PlanStep): string {
  const kind = step.connector ?? step.kind
  const text = `"${quoted(step.isNamed ? step.name : step.kind)}${step.isNamed ? `<br/>${quoted(kind)}` : ''}"`
  return step.time !== null ? `([${text}])` : step.guarantee !== null ? `[(${text})]` : `[${text}]`
}

function quoted(text: string): string {
  return text.replace(/[&"<>]/g, (c) => `#${c.charCodeAt(0)};`)
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}
