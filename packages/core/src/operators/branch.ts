/** branch: splits a stream into named outputs; each record goes to the first one whose test it passes. */
import type { Batch } from '../batch/batch.ts'
import { UsageError } from '../errors.ts'
import type { Edge, Graph, GraphNode, OnError } from '../graph/node.ts'
import type { Operator, OperatorContext } from '../graph/operator.ts'
import { booleanFrom, reportFailure } from './user-function.ts'

/** Tests by output name, tried in this order. `rest: true` makes an output of the records that pass none. */
export type BranchTests<T> = Readonly<Record<string, ((row: T) => boolean) | true>>

type Guard<T, U extends T> = (row: T) => row is U

/** Type guards narrow their output: `{ gps: (s): s is Gps => ... }`. */
export type BranchRow<T, Test> = Test extends Guard<T, infer U> ? U : T

/** Row types by output name. */
export type BranchRows<T, Tests> = { readonly [N in keyof Tests]: BranchRow<T, Tests[N]> }

export interface BranchSpec<T> {
  readonly input: Edge
  readonly tests: BranchTests<T>
  readonly onError?: OnError
}

/**
 * Adds a step with one output per test, read by `edge(node, partitioning, name)`; nothing goes to 'out'. Records that
 * pass no test are counted `filtered`, unless there is `rest: true`.
 * @throws UsageError `BRANCH` when there is no test, a name is not usable, or something else than `rest` is true
 * @example
 * import { openOperator } from 'millrace/testing'
 * const host = openOperator(createBranch<number>({ hot: t => t > 30, cold: t => t < 0, rest: true }))
 * host.send([[1_000, 35], [2_000, 12], [3_000, -4]])
 * host.take('hot').map(out => out.row) // => [35]
 * host.take('rest').map(out => out.row) // => [12]
 */
export function branch<T>(graph: Graph, spec: BranchSpec<T>): GraphNode {
  checkTests(spec.tests)
  return graph.add({
    kind: 'branch',
    inputs: [spec.input],
    spec: {
      type: 'operator',
      create: createBranch(spec.tests),
      outputs: Object.keys(spec.tests),
      keepsKeys: true,
      changes: 'keeps',
    },
    ...(spec.onError === undefined ? {} : { onError: spec.onError }),
  })
}

/** The operator alone. */
export function createBranch<T>(tests: BranchTests<T>): (ctx: OperatorContext) => Operator {
  checkTests(tests)
  return (ctx) => new BranchOperator(ctx, tests as BranchTests<unknown>)
}

class BranchOperator implements Operator {
  readonly #ctx: OperatorContext
  readonly #names: readonly string[] = []
  readonly #tests: readonly ((row: unknown) => unknown)[]
  /** Index of the output for the rest, or -1. */
  readonly #rest: number

  constructor(ctx: OperatorContext, tests: BranchTests<unknown>) {
    this.#ctx = ctx
    const named = Object.entries(tests).filter((entry) => entry[1] !== true)
    this.#tests = named.map(([, test]) => test as (row: unknown) => unknown)
    this.#names = [...named.map(([name]) => name), ...(tests.rest === true ? ['rest'] : [])]
    this.#rest = tests.rest === true ? named.length : -1
  }

  process(batch: Batch): void {
    const picked = this.#names.map((): number[] => [])
    let filtered = 0
    for (let i = 0; i < batch.length; i++) {
      try {
        const to = this.#outputFor(batch.row(i))
        if (to === -1) filtered++
        else picked[to].push(i)
      } catch (error) {
        reportFailure(this.#ctx, error, batch, i)
      }
    }
    picked.forEach((rows, to) => {
      if (rows.length === 0) return
      const whole = rows.length === batch.length ? batch : batch.select(rows, rows.length)
      this.#ctx.side(this.#names[to]).emitBatch(whole)
    })
    if (filtered > 0) this.#ctx.metrics.filtered(filtered)
  }

  #outputFor(row: unknown): number {
    for (let t = 0; t < this.#tests.length; t++) {
      if (booleanFrom(this.#tests[t](row), this.#ctx.step, `the test of branch "${this.#names[t]}"`)) return t
    }
    return this.#rest
  }
}

const reserved: ReadonlySet<string> = new Set(['out', 'dead'])

function checkTests(tests: BranchTests<never>): void {
  const names = Object.keys(tests)
  if (names.length === 0) throw new UsageError('BRANCH', 'branch was given no tests; it needs at least one output.')
  for (const name of names) {
    if (reserved.has(name) || !/^[A-Za-z][A-Za-z0-9_]*$/.test(name)) {
      throw new UsageError(
        'BRANCH',
        `"${name}" cannot name a branch: use letters, digits and _, and neither 'out' nor 'dead'.`,
      )
    }
    const test = tests[name]
    if (typeof test === 'function' || (name === 'rest' && test === true)) continue
    throw new UsageError('BRANCH', `branch "${name}" is ${String(test)}; it must be a function, or rest: true.`)
  }
}
