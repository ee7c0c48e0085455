/** What has gone through a gateway, by function: for lists and tables. */
export interface FunctionFigures {
  readonly calls: number
  readonly failed: number
  readonly inFlight: number
  readonly items: number
  readonly bytes: number
  /** Of calls to their end, of streams to the first item; moving average, null before the first. */
  readonly latencyMs: number | null
}

/** Functions that are kept account of; those beyond it are counted under this name. */
const FUNCTIONS_MAX = 10_000
const OTHERS = '(others)'

/** Weight of the newest call in the average latency. */
const LATENCY_SHARE = 0.2

type Figures = { -readonly [K in keyof FunctionFigures]: FunctionFigures[K] }

export class FigureBook {
  readonly #figures = new Map<string, Figures>()

  opened(fn: string): void {
    const figures = this.#of(fn)
    figures.calls++
    figures.inFlight++
  }

  ended(fn: string, hasFailed: boolean): void {
    const figures = this.#of(fn)
    figures.inFlight--
    if (hasFailed) figures.failed++
  }

  passed(fn: string, items: number, bytes: number): void {
    const figures = this.#of(fn)
    figures.items += items
    figures.bytes += bytes
  }

  took(fn: string, ms: number): void {
    const figures = this.#of(fn)
    figures.latencyMs = figures.latencyMs === null ? ms : figures.latencyMs + LATENCY_SHARE * (ms - figures.latencyMs)
  }

  get all(): Readonly<Record<string, FunctionFigures>> {
    return Object.fromEntries([...this.#figures].map(([name, figures]) => [name, { ...figures }]))
  }

  #of(fn: string): Figures {
    const known = this.#figures.get(fn)
    if (known !== undefined) return known
    if (this.#figures.size >= FUNCTIONS_MAX && fn !== OTHERS) return this.#of(OTHERS)
    const figures: Figures = { calls: 0, failed: 0, inFlight: 0, items: 0, bytes: 0, latencyMs: null }
    this.#figures.set(fn, figures)
    return figures
  }
}
