/** For pipes and logs: one line per change, and one every 10 s that says it still goes on. Nothing is cut or coloured over. */
import type { ObserveMessage } from 'millrace/observe'
import { formatAge, formatCount, formatLeft, formatPercent, formatRate, formatTime } from './format.ts'
import { limitText, stallText } from './live.ts'
import { plain, type Style } from './style.ts'
import type { RunView } from './view.ts'

const STILL_EVERY_MS = 10_000
/** Dead letters of one step are told at most this often. */
const DEAD_EVERY_MS = 10_000

export class ChangeLines {
  readonly #view: RunView
  readonly #style: Style
  readonly #deadToldAt = new Map<number, number>()
  readonly #stalled = new Set<string>()
  #lastLineAt = 0

  constructor(view: RunView, style: Style) {
    this.#view = view
    this.#style = style
  }

  /** Lines for a message that the view has taken already. */
  of(message: ObserveMessage): string[] {
    const lines = this.#texts(message).map((text) => `${formatTime(message.at)}  ${text}`)
    if (lines.length > 0 || this.#lastLineAt === 0) this.#lastLineAt = message.at
    return lines
  }

  /** Like `of`, and says every 10 s how far it is. */
  withHeartbeat(message: ObserveMessage): string[] {
    const lines = this.of(message)
    if (lines.length > 0 || message.type !== 'sources' || message.at - this.#lastLineAt < STILL_EVERY_MS) return lines
    this.#lastLineAt = message.at
    return [`${formatTime(message.at)}  ${this.#still(message.at)}`]
  }

  #texts(message: ObserveMessage): string[] {
    const { plan } = this.#view
    switch (message.type) {
      case 'change': {
        // The end is told by the report, with numbers.
        if (['finished', 'stopped', 'failed'].includes(message.kind)) return []
        const text = [message.kind === 'running' ? this.#running() : plain(message.text)]
        if (message.kind !== 'restart') return text
        return [this.#style.warn(`restart  ${message.code ?? ''}  ${text[0]}`)]
      }
      case 'log': {
        if (message.severity === 'info') return [plain(`${message.step ?? 'flow'}: ${message.text}`)]
        const paint = message.severity === 'error' ? this.#style.bad : this.#style.warn
        return [`${paint(message.severity)}  ${plain(`${message.step ?? 'flow'}: ${message.text}`)}`]
      }
      case 'dead': {
        const told = this.#deadToldAt.get(message.step) ?? Number.NEGATIVE_INFINITY
        if (message.at - told < DEAD_EVERY_MS) return []
        this.#deadToldAt.set(message.step, message.at)
        const n = `${formatCount(message.count)} record${message.count === 1 ? '' : 's'}`
        return [`${this.#style.warn('dead letters')}  ${plain(plan?.steps[message.step]?.name ?? '')}: ${n} so far`]
      }
      case 'sources':
        return this.#stalls(message.at)
      default:
        return []
    }
  }

  #stalls(now: number): string[] {
    const lines: string[] = []
    const current = new Set<string>()
    for (const stall of this.#view.stalls(now)) {
      const id = `${stall.source}/${stall.partition}`
      current.add(id)
      if (!this.#stalled.has(id)) lines.push(this.#style.warn(stallText(this.#view, stall)))
    }
    for (const id of this.#stalled)
      if (!current.has(id)) lines.push(`partition ${plain(id.slice(id.indexOf('/') + 1))} no longer holds results back`)
    this.#stalled.clear()
    for (const id of current) this.#stalled.add(id)
    return lines
  }

  #running(): string {
    const { plan } = this.#view
    const steps = plan?.steps.length ?? 0
    return `running ${plain(plan?.flow ?? '')}: ${steps} steps on ${plan?.workers ?? 1} worker${plan?.workers === 1 ? '' : 's'}`
  }

  #still(now: number): string {
    const view = this.#view
    const input = view.flow('in')
    const { lag, leftMs, state } = view.catchUp
    const progress = view.sources?.progress ?? null
    const facts = [
      `in ${formatRate(input.rate ?? 0)}`,
      `out ${formatRate(view.flow('out').rate ?? 0)}`,
      ...(view.isBounded && progress !== null ? [formatPercent(progress)] : []),
      ...(!view.isBounded && lag !== null ? [`${formatCount(lag)} waiting`] : []),
      ...(leftMs !== null && leftMs > 0 ? [`${formatLeft(leftMs)} left`] : state === 'falling behind' ? [state] : []),
      view.commit === undefined
        ? 'no commit yet'
        : `commit ${view.commit.epoch} ${formatAge(now - view.commit.committedAt)} ago`,
      ...(view.limiting === undefined ? [] : [limitText(view, view.limiting)]),
    ]
    return `still running: ${facts.join(', ')}`
  }
}
