/**
 * The picture that is drawn over and over while a flow runs, as lines that fit a width and a height.
 *
 * From top to bottom: is it running and how fast; how far, how long yet; is it committed; what went wrong; the steps;
 * why it is not faster; what to press.
 */
import type { LimitingStep, Stall } from 'millrace/observe'
import {
  formatAge,
  formatBytes,
  formatCount,
  formatDuration,
  formatEventTime,
  formatLeft,
  formatPercent,
  formatRate,
} from './format.ts'
import { stepTable } from './step-table.ts'
import { cutEnd, cutMiddle, plain, type Style, wrapWords } from './style.ts'
import type { RunView } from './view.ts'

export interface Frame {
  readonly width: number
  readonly height: number
  readonly now: number
  readonly style: Style
  /** Said below: how to end it. */
  readonly hint: string
}

export function liveLines(view: RunView, frame: Frame): string[] {
  const { width, style, now } = frame
  if (view.plan === undefined) return []
  const head = headLine(view, frame)
  const facts = wrap([...progressFacts(view, now), ...commitFacts(view, now), ...troubleFacts(view, style)], width)
  const notes = noteLines(view, now).flatMap((text) => wrapWords(text, width).map(style.warn))
  const hint = style.dim(cutEnd(frame.hint, width))
  const bar = progressBar(view, width)
  const above = [head, ...(bar === undefined ? [] : [bar]), ...facts]
  // What is wrong matters more than the table: in a low terminal the table goes first.
  const room = frame.height - 1 - above.length - notes.length - 1
  const table = room < TABLE_LINES_MIN ? [] : stepTable(view, width, room, style)
  return [...above, ...table, ...notes, hint].slice(0, Math.max(1, frame.height - 1))
}

const TABLE_LINES_MIN = 3

function headLine(view: RunView, { width, style, now }: Frame): string {
  const name = plain(view.plan?.flow ?? '')
  const { word, paint } = stateOf(view, style)
  const since = view.hello === undefined ? '' : ` ${formatAge(now - view.hello.startedAt)}`
  const input = view.flow('in')
  const output = view.flow('out')
  const rates = input.rate === null ? '' : `in ${formatRate(input.rate)}   out ${formatRate(output.rate ?? 0)}`
  const left = `${cutMiddle(name, Math.max(8, width - word.length - since.length - 3))}  ${word}${since}`
  const gap = width - left.length - rates.length
  const text = gap >= 3 ? `${left}${' '.repeat(Math.min(gap, 12))}${rates}` : left
  return text.replace(name, style.bold(name)).replace(`  ${word}`, `  ${paint(word)}`)
}

function stateOf(view: RunView, style: Style): { word: string; paint: (text: string) => string } {
  const state = view.sample?.state ?? 'starting'
  if (view.change?.kind === 'restart') return { word: 'restarting', paint: style.warn }
  if (state === 'stopping') return { word: 'stopping', paint: style.warn }
  if (state === 'running') return { word: 'running', paint: style.good }
  return { word: state, paint: style.dim }
}

function progressBar(view: RunView, width: number): string | undefined {
  const progress = view.sources?.progress ?? null
  if (!view.isBounded || progress === null) return undefined
  const { leftMs } = view.catchUp
  const percent = formatPercent(progress)
  const left = progress === 1 ? 'everything read' : leftMs === null ? '' : `${formatLeft(leftMs)} left`
  const size = Math.min(40, width - percent.length - left.length - 6)
  if (size < 8) return `${percent}  ${left}`
  const done = Math.floor(progress * size)
  return `[${'#'.repeat(done)}${'.'.repeat(size - done)}] ${percent}  ${left}`
}

function progressFacts(view: RunView, now: number): string[] {
  const facts = [`${formatCount(view.flow('in').total)} read`, `${formatCount(view.flow('out').total)} written`]
  const { eventTime } = view
  if (view.isBounded) {
    if (typeof eventTime === 'number') facts.push(`event time ${formatEventTime(eventTime)}`)
    return facts
  }
  const { state, lag, leftMs } = view.catchUp
  if (lag !== null) facts.push(lag === 0 ? 'nothing waiting' : `${formatCount(lag)} waiting`)
  if (state === 'catching up' && leftMs !== null) facts.push(`caught up in ${formatLeft(leftMs)}`)
  if (state === 'falling behind') facts.push('falling behind at this rate')
  if (!view.hasEventTime) facts.push('no watermark: processing time')
  else if (typeof eventTime === 'number')
    facts.push(`results ${formatDuration(Math.max(0, now - eventTime))} behind the clock`)
  return facts
}

function commitFacts(view: RunView, now: number): string[] {
  const { commit } = view
  if (commit === undefined) return ['no commit yet']
  const took = Object.values(commit.phases).reduce((a, b) => a + b, 0)
  const state = view.total('stateBytes')
  return [
    `commit ${formatAge(now - commit.committedAt)} ago (took ${formatDuration(took)})`,
    ...(state > 0 ? [`state ${formatBytes(state)}`] : []),
  ]
}

function troubleFacts(view: RunView, style: Style): string[] {
  const facts: string[] = [`late ${formatCount(view.total('late'))}`]
  for (const [name, word] of [
    ['dropped', 'dropped'],
    ['dead', 'dead letters'],
    ['retried', 'retried'],
  ] as const) {
    const n = view.total(name)
    if (n > 0) facts.push(style.warn(`${word} ${formatCount(n)}`))
  }
  const errors = view.total('errors')
  facts.push(errors > 0 ? style.bad(`errors ${formatCount(errors)}`) : 'errors 0')
  const remainder = view.balance?.remainder ?? 0
  if (remainder !== 0) facts.push(style.bad(`${formatCount(remainder)} not accounted for`))
  return facts
}

function noteLines(view: RunView, now: number): string[] {
  const notes = view
    .stalls(now)
    .slice(0, 3)
    .map((stall) => stallText(view, stall))
  const { limiting } = view
  if (limiting !== undefined) notes.push(`< ${limitText(view, limiting)}`)
  return notes
}

export function limitText(view: RunView, limiting: LimitingStep): string {
  const name = loopName(view, limiting.step)
  const share = formatPercent(limiting.share)
  switch (limiting.cause) {
    case 'computing':
      return `limiting step: ${name}, its functions take ${share} of the time`
    case 'waiting':
      return `limiting step: ${name}, waits ${share} of the time for calls or writes`
    case 'reading':
      return `limiting step: ${name}, the time goes into reading and decoding`
  }
}

/** Steps fused into one loop are measured as one. */
function loopName(view: RunView, step: number): string {
  const steps = view.plan?.steps ?? []
  const last = steps.findLast((s) => s.fusedWith === step)
  const first = plain(steps[step]?.name ?? '')
  const at = steps[step]?.at ?? null
  const place = steps[step]?.isNamed === false && at !== null ? ` (${plain(at)})` : ''
  return last === undefined ? `${first}${place}` : `${first} to ${plain(last.name)}${place}`
}

export function stallText(view: RunView, stall: Stall): string {
  const steps = view.plan?.steps ?? []
  const source = `"${plain(steps[stall.source]?.name ?? '')}" partition ${plain(stall.partition)}`
  const silent = stall.silentMs > 0 ? `last record ${formatAge(stall.silentMs)} ago` : 'no record yet'
  return `! "${plain(steps[stall.step]?.name ?? '')}" waits for ${source}: ${silent}. If it may go quiet, give it idleAfter.`
}

/** Facts beside each other, as many as fit a line. */
function wrap(facts: readonly string[], width: number): string[] {
  const lines: string[] = []
  let line = ''
  let used = 0
  for (const fact of facts) {
    const length = visible(fact)
    if (used > 0 && used + 3 + length > width) {
      lines.push(line)
      line = ''
      used = 0
    }
    line += used === 0 ? fact : `   ${fact}`
    used += length + (used === 0 ? 0 : 3)
  }
  return used === 0 ? lines : [...lines, line]
}

function visible(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colour codes take no room
  return text.replace(/\u001b\[\d+m/g, '').length
}
