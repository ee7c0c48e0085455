/** What is said when a run has ended: one sentence, and a table of exact numbers per step. */
import type { BalanceMessage } from 'millrace/observe'
import { formatDuration, formatExact, formatRate } from './format.ts'
import { cutMiddle, padEnd, padStart, plain, type Style, wrapWords } from './style.ts'
import type { RunView } from './view.ts'

export interface Ending {
  readonly outcome: 'finished' | 'stopped' | 'failed'
  readonly elapsedMs: number
  readonly epochs: number
  readonly lastEpoch: number
  readonly restarts: number
}

export function reportLines(view: RunView, ending: Ending, width: number, style: Style): string[] {
  const [head, ...rest] = wrapWords(sentence(view, ending), width)
  const paint = ending.outcome === 'failed' ? style.bad : style.good
  const first = [head.replace(ending.outcome, paint(ending.outcome)), ...rest]
  // The error that comes next says where it failed; a table would push it off the screen.
  if (ending.outcome === 'failed') return first
  return [...first, ...accountLines(view.balance, style), '', ...table(view, width, style)]
}

function sentence(view: RunView, ending: Ending): string {
  const read = view.flow('in').total
  const written = view.flow('out').total
  const rate = ending.elapsedMs > 0 ? ` (${formatRate(read / (ending.elapsedMs / 1000))})` : ''
  const facts = [
    `${formatExact(read)} records read${rate}`,
    `${formatExact(written)} written`,
    `${formatExact(ending.epochs)} commit${ending.epochs === 1 ? '' : 's'}${ending.lastEpoch > 0 ? `, the last is ${ending.lastEpoch}` : ''}`,
    ...(ending.restarts > 0 ? [`${ending.restarts} restart${ending.restarts === 1 ? '' : 's'}`] : []),
  ]
  return `${ending.outcome} ${plain(view.plan?.flow ?? '')} after ${formatDuration(ending.elapsedMs)}: ${facts.join(', ')}`
}

/** Only what is wrong is worth a line: a remainder is a defect of ours. */
function accountLines(balance: BalanceMessage | undefined, style: Style): string[] {
  if (balance === undefined || balance.remainder === null) return []
  if (balance.remainder === 0) return [style.dim('every record is accounted for')]
  const where = balance.steps.filter((s) => (s.remainder ?? 0) !== 0).length
  return [
    style.bad(
      `${formatExact(balance.remainder)} records are not accounted for (${where} step${where === 1 ? '' : 's'}): a defect of Millrace, please report it`,
    ),
  ]
}

interface Column {
  readonly title: string
  readonly of: (i: number) => number
  readonly isOptional: boolean
}

function table(view: RunView, width: number, style: Style): string[] {
  const { plan, balance, sample } = view
  if (plan === undefined || balance === undefined || sample === undefined) return []
  const step = (i: number) => balance.steps[i]
  const columns: Column[] = [
    { title: 'IN', of: (i) => step(i).in, isOptional: false },
    { title: 'OUT', of: (i) => step(i).out, isOptional: false },
    { title: 'FILTERED', of: (i) => step(i).filtered, isOptional: true },
    { title: 'MERGED', of: (i) => step(i).merged, isOptional: true },
    { title: 'HELD', of: (i) => step(i).inFlight, isOptional: true },
    { title: 'DUPLICATES', of: (i) => step(i).deduplicated, isOptional: true },
    { title: 'LATE', of: (i) => step(i).late, isOptional: true },
    { title: 'DROPPED', of: (i) => step(i).dropped, isOptional: true },
    { title: 'DEAD', of: (i) => step(i).dead, isOptional: true },
    { title: 'ERRORS', of: (i) => sample.cols.errors[i], isOptional: true },
  ]
  const shown = columns.filter((c) => !c.isOptional || plan.steps.some((s) => c.of(s.i) !== 0))
  const cell = (c: Column, i: number): string => (c.isOptional && c.of(i) === 0 ? '-' : formatExact(c.of(i)))
  const widths = shown.map((c) => Math.max(c.title.length, ...plan.steps.map((s) => cell(c, s.i).length)))
  const kindWidth = Math.max(4, ...plan.steps.map((s) => s.kind.length))
  const numbers = widths.reduce((n, w) => n + 2 + w, 0)
  const longest = Math.max(4, ...plan.steps.map((s) => s.name.length))
  const hasKind = numbers + Math.min(longest, 16) + 2 + kindWidth <= width
  const nameWidth = Math.max(8, Math.min(longest, width - numbers - (hasKind ? kindWidth + 2 : 0)))
  const line = (name: string, kind: string, cells: readonly string[]): string =>
    `${padEnd(cutMiddle(plain(name), nameWidth), nameWidth)}${hasKind ? `  ${padEnd(kind, kindWidth)}` : ''}${cells
      .map((text, i) => `  ${padStart(text, widths[i])}`)
      .join('')}`
  return [
    style.dim(
      line(
        'STEP',
        'KIND',
        shown.map((c) => c.title),
      ),
    ),
    ...plan.steps.map((s) =>
      line(
        s.name,
        s.kind,
        shown.map((c) => cell(c, s.i)),
      ),
    ),
  ]
}
