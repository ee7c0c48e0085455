/** What a file says of its functions, beside the functions: options, and which of them run in threads of their own. */
import { UsageError } from 'millrace/connector'
import type { Contract, ContractFunction } from '../../contract/contract.ts'
import type { FunctionOptions, NodeFunction } from '../compute-node.ts'
import { kindOf } from '../kind.ts'

export interface FileFunctionOptions extends FunctionOptions {
  /**
   * In a pool of threads, each with the file loaded anew: it does not see what other functions of the file have in
   * variables. Default: true for generators that are not async, which otherwise hold up everything else; else false.
   */
  readonly thread?: boolean
}

const OPTIONS = Symbol.for('millrace.remote.options')

/**
 * Says how a function of a node is offered, where it is defined.
 * @example fn({ concurrency: 4, policy: 'round-robin' }, (a: number, b: number) => a + b)(1, 2) // => 3
 */
export function fn<F extends NodeFunction>(options: FileFunctionOptions, implementation: F): F {
  Object.defineProperty(implementation, OPTIONS, { value: { ...optionsOf(implementation), ...options } })
  return implementation
}

/**
 * Marks a function that computes for long without waiting: it runs in a pool of threads, see `FileFunctionOptions.thread`.
 * @example cpu((n: number) => n * 2)(4) // => 8
 */
export function cpu<F extends NodeFunction>(implementation: F): F {
  return fn({ thread: true }, implementation)
}

export function optionsOf(implementation: NodeFunction): FileFunctionOptions {
  return (implementation as { readonly [OPTIONS]?: FileFunctionOptions })[OPTIONS] ?? {}
}

export interface FileFunction {
  readonly name: string
  readonly fn: NodeFunction
  readonly options: FunctionOptions
  readonly isThreaded: boolean
}

const GeneratorFunction = Object.getPrototypeOf(function* () {}).constructor as unknown

/**
 * The functions of a module for `millrace node`: its default export is an object of them. Where there are such exports,
 * `contract` holds arguments and results, and `options` has options by name, which win over those given with `fn`.
 * @throws UsageError `REMOTE_FILE_EXPORT`
 */
export function functionsOf(module: Readonly<Record<string, unknown>>, file: string): FileFunction[] {
  const functions = module.default
  if (typeof functions !== 'object' || functions === null) {
    const found = Object.keys(module).join(', ') || 'nothing'
    throw new UsageError(
      'REMOTE_FILE_EXPORT',
      `${file} exports ${found}, and no object of functions. End the file with: export default { add, readings }`,
    )
  }
  const contract = contractOf(module.contract)
  const table = (module.options ?? {}) as Readonly<Record<string, FileFunctionOptions>>
  const entries = Object.entries(functions).filter(
    (entry): entry is [string, NodeFunction] => typeof entry[1] === 'function',
  )
  const has = (name: string): boolean => entries.some(([known]) => known === name)
  const unknown = Object.keys(table).find((name) => !has(name))
  const missing = [...(contract?.functions.keys() ?? [])].find((name) => !has(name))
  if (entries.length === 0 || unknown !== undefined || missing !== undefined) {
    const what =
      unknown !== undefined
        ? `no function "${unknown}", which "options" names`
        : missing !== undefined
          ? `no function "${missing}", which "contract" names`
          : 'no function'
    throw new UsageError('REMOTE_FILE_EXPORT', `the default export of ${file} has ${what}.`)
  }
  return entries.map(([name, implementation]) => {
    const { thread, ...options } = { ...optionsOf(implementation), ...table[name] }
    const isThreaded = thread ?? implementation.constructor === GeneratorFunction
    const promised = contract === undefined ? {} : promisedBy(contract.functions.get(name))
    return {
      name,
      fn: implementation.bind(functions) as NodeFunction,
      options: { kind: kindOf(implementation), ...options, ...promised },
      isThreaded,
    }
  })
}

function contractOf(exported: unknown): Contract | undefined {
  const functions = (exported as Partial<Contract> | undefined)?.functions
  return functions instanceof Map ? (exported as Contract) : undefined
}

function promisedBy(promised: ContractFunction | undefined): FunctionOptions {
  if (promised === undefined) return {}
  const { kind, description, input, output, inputJson, outputJson } = promised
  return {
    ...{ kind, input },
    ...(description === undefined ? {} : { description }),
    ...(output === undefined ? {} : { output }),
    ...(inputJson === undefined ? {} : { inputJson }),
    ...(outputJson === undefined ? {} : { outputJson }),
  }
}
