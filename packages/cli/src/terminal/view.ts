/**
 * What the terminal knows of a flow, collected from messages of `millrace/observe`: nothing else reaches the screen.
 */
import {
  type BalanceMessage,
  type CatchUp,
  type ChangeMessage,
  type CommitMessage,
  catchUp,
  type HelloMessage,
  type LagPoint,
  type LimitingStep,
  limitingStep,
  type ObserveMessage,
  type PlanMessage,
  type PlanStep,
  type SampleMessage,
  type SourcesMessage,
  type Stall,
  stalls,
} from 'millrace/observe'

/** Rates are means over this time. */
const RATE_MS = 5_000
/** Catching up is estimated over this time. */
const LAG_MS = 30_000

/** One step, as the table shows it. */
export interface StepRow {
  readonly step: PlanStep
  /** Records per second, null before the second sample. */
  readonly rateIn: number | null
  readonly rateOut: number | null
  readonly busy: number
  readonly blocked: number
  readonly await: number
  readonly stateBytes: number
  readonly late: number
  readonly dropped: number
  readonly dead: number
  readonly errors: number
  readonly watermark: SampleMessage['cols']['watermark'][number]
}

export class RunView {
  hello: HelloMessage | undefined
  plan: PlanMessage | undefined
  sample: (SampleMessage & { readonly at: number }) | undefined
  sources: SourcesMessage | undefined
  commit: CommitMessage | undefined
  balance: BalanceMessage | undefined
  change: ChangeMessage | undefined
  commits = 0
  #samples: (SampleMessage & { readonly at: number })[] = []
  #lags: LagPoint[] = []

  update(message: ObserveMessage): void {
    switch (message.type) {
      case 'hello':
        this.hello = message
        break
      case 'plan':
        if (this.plan?.planHash !== message.planHash) this.#samples = []
        this.plan = message
        break
      case 'sample':
        if (this.sample?.attempt !== message.attempt) this.#samples = []
        this.sample = message
        this.#samples.push(message)
        this.#samples = this.#samples.filter((s, i, all) => i === all.length - 1 || message.at - s.at <= RATE_MS)
        break
      case 'sources':
        this.sources = message
        this.#lags.push({ at: message.at, lag: message.lag, progress: message.progress })
        this.#lags = this.#lags.filter((p) => message.at - p.at <= LAG_MS)
        break
      case 'commit':
        this.commit = message
        this.commits += message.n
        break
      case 'balance':
        this.balance = message
        break
      case 'change':
        this.change = message
        break
    }
  }

  get catchUp(): CatchUp {
    return catchUp(this.#lags)
  }

  get limiting(): LimitingStep | undefined {
    if (this.plan === undefined || this.sample === undefined || this.sample.interval === 0) return undefined
    return limitingStep(this.plan, this.sample, this.sources)
  }

  stalls(now: number): Stall[] {
    return this.plan === undefined || this.sources === undefined ? [] : stalls(this.plan, this.sources, now)
  }

  /** Does every source end by itself? Then there is progress and an end, and age of event time means nothing. */
  get isBounded(): boolean {
    return this.plan?.steps.every((s) => s.bounded !== false) ?? false
  }

  get rows(): StepRow[] {
    const { plan, sample } = this
    if (plan === undefined || sample === undefined) return []
    const first = this.#samples[0]
    const seconds = (sample.at - first.at) / 1000
    const rate = (name: 'recordsIn' | 'recordsOut', i: number): number | null =>
      seconds > 0 ? Math.max(0, sample.cols[name][i] - first.cols[name][i]) / seconds : null
    return plan.steps.map((step, i) => ({
      step,
      rateIn: rate('recordsIn', i),
      rateOut: rate('recordsOut', i),
      busy: sample.cols.busy[i],
      blocked: sample.cols.blocked[i],
      await: sample.cols.await[i],
      stateBytes: sample.cols.stateBytes[i],
      late: sample.cols.late[i],
      dropped: sample.cols.dropped[i],
      dead: sample.cols.dead[i],
      errors: sample.cols.errors[i],
      watermark: sample.cols.watermark[i],
    }))
  }

  /** Over sources, or over sinks: records per second and in total. */
  flow(side: 'in' | 'out'): { rate: number | null; total: number } {
    const rows = this.rows.filter((r) => (side === 'in' ? r.step.time !== null : r.step.guarantee !== null))
    const column = side === 'in' ? 'recordsIn' : 'recordsOut'
    const total = rows.reduce((n, r) => n + (this.sample?.cols[column][r.step.i] ?? 0), 0)
    const rates = rows.map((r) => (side === 'in' ? r.rateIn : r.rateOut))
    return { rate: rates.some((r) => r === null) ? null : rates.reduce((a: number, b) => a + (b ?? 0), 0), total }
  }

  total(column: 'late' | 'dropped' | 'dead' | 'errors' | 'retried' | 'stateBytes'): number {
    return this.sample?.cols[column].reduce((a, b) => a + b, 0) ?? 0
  }

  /** Event time the slowest sink has reached. */
  get eventTime(): number | 'end' | null {
    const reached = this.rows.filter((r) => r.step.guarantee !== null).map((r) => r.watermark)
    const times = reached.filter((w) => typeof w === 'number')
    if (times.length > 0) return Math.min(...times)
    return reached.length > 0 && reached.every((w) => w === 'end') ? 'end' : null
  }

  get hasEventTime(): boolean {
    return this.plan?.steps.some((s) => s.time === 'event') ?? false
  }
}
