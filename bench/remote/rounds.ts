/** Repeats all measurements in rounds, so that systems that are compared ran within a minute of each other. */
import { repeat } from '../lib/repeat.ts'
import { type Spread, spread } from '../lib/spread.ts'
import type { System } from './systems.ts'

type Options = Readonly<Record<string, string | number>>
type Measure = (what: string, system: System, options: Options) => Promise<unknown>

interface Planned {
  readonly what: string
  readonly system: System
  /** Names the measurement, with `what` and the system. */
  readonly setting: Options
  readonly options: Options
  readonly runs: unknown[]
}

export class Rounds {
  readonly #measure: Measure
  readonly #planned: Planned[] = []
  /** Lines on runs of peers that failed. */
  readonly failures: string[] = []

  constructor(measure: Measure) {
    this.#measure = measure
  }

  plan(what: string, systems: readonly System[], setting: Options = {}, options: Options = {}): void {
    for (const system of systems) this.#planned.push({ what, system, setting, options, runs: [] })
  }

  async run(times: number): Promise<void> {
    await repeat(times, async () => {
      for (const { what, system, setting, options, runs } of this.#planned) {
        runs.push(await this.once(what, system, { ...setting, ...options }))
      }
    })
  }

  /** A peer that fails shows, and does not end the measurement of the others. */
  async once(what: string, system: System, options: Options = {}): Promise<unknown> {
    try {
      return await this.#measure(what, system, options)
    } catch (error) {
      if (!system.isPeer) throw error
      this.failures.push(`${system.name}: ${what} FAILED, ${String(error).split('\n').slice(0, 2).join(' ')}`)
      return {}
    }
  }

  /** One figure over the rounds, NaN for a run that failed; undefined when it was not measured. */
  figures(what: string, system: System, name: string, setting: Options = {}): readonly number[] | undefined {
    const key = JSON.stringify(setting)
    const found = this.#planned.find(
      (each) => each.what === what && each.system === system && JSON.stringify(nameOf(each, setting)) === key,
    )
    return found?.runs.map((run) => (run as Readonly<Record<string, number>>)[name] ?? Number.NaN)
  }

  get data(): unknown {
    return this.#planned.map(({ what, system, setting, runs }) => ({ what, system: system.name, ...setting, runs }))
  }
}

/** Of what names the measurement, that which is asked for. */
function nameOf({ setting }: Planned, asked: Options): Options {
  return Object.fromEntries(Object.keys(asked).map((name) => [name, setting[name]]))
}

/** Ours in each round to the peer's in the same. */
export function ratios(ours: readonly number[], peers: readonly number[]): Spread {
  return spread(ours.map((value, round) => value / peers[round]))
}
