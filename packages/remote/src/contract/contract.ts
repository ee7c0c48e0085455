/**
 * A contract: what functions take and give, as schemas, in one place that nodes, gateways and clients import. Types are
 * inferred from it on both sides; values are checked on the node always, at client and gateway where they have it.
 */
import { UsageError } from 'millrace/connector'
import type { CallContext } from '../node/context.ts'
import { checkName, type FunctionKind } from '../protocol/messages.ts'
import { argumentsSchema } from './arguments.ts'
import { type InputOf, type JsonSchema, jsonSchemaOf, type OutputOf, type SchemaOf } from './schema.ts'

/** One function. With `item` it is a stream, otherwise a call. */
export interface FunctionSpec {
  /** A schema is that of the one argument; a list has one for each argument. Default: no arguments. */
  readonly input?: SchemaOf | readonly SchemaOf[]
  /** Of the value. Default: anything. */
  readonly output?: SchemaOf
  /** Of each item. */
  readonly item?: SchemaOf
  /** One or two sentences, for lists and for language models. */
  readonly description?: string
}

export type ContractSpec = Readonly<Record<string, FunctionSpec>>

/** One function of a contract, ready for use. */
export interface ContractFunction {
  readonly name: string
  readonly kind: FunctionKind
  readonly description: string | undefined
  /** Of the list of arguments. */
  readonly input: SchemaOf
  /** Of the value, or of each item. */
  readonly output: SchemaOf | undefined
  readonly inputJson: JsonSchema | undefined
  readonly outputJson: JsonSchema | undefined
}

export interface Contract<S extends ContractSpec = ContractSpec> {
  readonly spec: S
  readonly functions: ReadonlyMap<string, ContractFunction>
}

export interface ContractOptions {
  /**
   * JSON Schemas for libraries that give none by themselves (Standard JSON Schema), for tools that list functions. Zod 4.2 and
   * later need nothing.
   */
  readonly jsonSchema?: (schema: SchemaOf, side: 'input' | 'output') => JsonSchema | undefined
}

/** What a node offers goes in one frame. */
const JSON_SCHEMA_CHARS_MAX = 32 * 1024

/**
 * Defines what functions take and give. Schemas are Standard Schemas: zod, valibot, arktype and others.
 * @throws UsageError `REMOTE_CONTRACT` for a name that is none, a schema that is none, both `output` and `item`
 * @example
 * import { z } from 'zod'
 * const contract = defineContract({
 *   add: { input: [z.number(), z.number()], output: z.number() },
 *   readings: { input: z.object({ sensor: z.string() }), item: z.number() },
 * })
 * contract.functions.get('readings')?.kind // => 'stream'
 */
export function defineContract<const S extends ContractSpec>(spec: S, options: ContractOptions = {}): Contract<S> {
  const functions = new Map(Object.entries(spec).map(([name, each]) => [name, contractFunction(name, each, options)]))
  return Object.freeze({ spec, functions })
}

function contractFunction(name: string, spec: FunctionSpec, { jsonSchema }: ContractOptions): ContractFunction {
  const { input = [], output, item, description } = spec
  checkContractName(name)
  if (output !== undefined && item !== undefined)
    throw wrong(name, 'has both `output` and `item`; a stream has `item` alone')
  const isSingle = !Array.isArray(input)
  const inputs = isSingle ? [input as SchemaOf] : (input as readonly SchemaOf[])
  for (const [i, schema] of inputs.entries()) checkSchema(schema, name, isSingle ? 'input' : `input[${i}]`)
  const result = item ?? output
  if (result !== undefined) checkSchema(result, name, item === undefined ? 'output' : 'item')
  const json = (schema: SchemaOf, side: 'input' | 'output'): JsonSchema | undefined =>
    withoutDialect(jsonSchema?.(schema, side) ?? jsonSchemaOf(schema, side))
  return {
    name,
    kind: item === undefined ? 'call' : 'stream',
    description,
    input: argumentsSchema(inputs, isSingle),
    output: result,
    inputJson: short(
      argumentsJson(
        inputs,
        inputs.map((schema) => json(schema, 'input')),
      ),
    ),
    outputJson: result === undefined ? undefined : short(json(result, 'output')),
  }
}

/** Of the list of arguments; those at the end that may be missing are not required. */
function argumentsJson(
  inputs: readonly SchemaOf[],
  items: readonly (JsonSchema | undefined)[],
): JsonSchema | undefined {
  if (items.some((item) => item === undefined)) return undefined
  const required = inputs.findLastIndex((schema) => !mayBeMissing(schema)) + 1
  return { type: 'array', prefixItems: items, minItems: required, maxItems: items.length }
}

function mayBeMissing(schema: SchemaOf): boolean {
  const result = schema['~standard'].validate(undefined)
  return !(result instanceof Promise) && result.issues === undefined
}

function withoutDialect(schema: JsonSchema | undefined): JsonSchema | undefined {
  if (schema === undefined) return undefined
  const { $schema: _dialect, ...rest } = schema
  return rest
}

function short(schema: JsonSchema | undefined): JsonSchema | undefined {
  return schema === undefined || JSON.stringify(schema).length > JSON_SCHEMA_CHARS_MAX ? undefined : schema
}

function checkContractName(name: string): void {
  try {
    checkName('function', name)
  } catch (cause) {
    throw wrong(name, (cause as Error).message)
  }
}

function checkSchema(schema: unknown, fn: string, where: string): void {
  const standard = (schema as Partial<SchemaOf> | undefined)?.['~standard']
  if (standard?.version === 1 && typeof standard.validate === 'function') return
  throw wrong(fn, `has no Standard Schema as \`${where}\``)
}

function wrong(fn: string, what: string): UsageError {
  return new UsageError('REMOTE_CONTRACT', `the contract's function "${fn}" ${what}.`)
}

/** Arguments at the end that may be undefined may be left out. */
type OptionalTail<T extends readonly unknown[], Tail extends readonly unknown[] = []> = T extends readonly [
  ...infer Rest,
  infer Last,
]
  ? undefined extends Last
    ? OptionalTail<Rest, [Last?, ...Tail]>
    : [...T, ...Tail]
  : Tail

type SchemasOf<F extends FunctionSpec> = F extends { readonly input: infer I }
  ? I extends readonly SchemaOf[]
    ? I
    : readonly [I]
  : readonly []

type Given<S extends readonly unknown[]> = { [I in keyof S]: InputOf<S[I]> }
type Taken<S extends readonly unknown[]> = { -readonly [I in keyof S]: OutputOf<S[I]> }

/** The functions of a contract as a client calls them. */
export type ContractFunctions<S extends ContractSpec> = {
  readonly [N in keyof S]: (
    ...args: OptionalTail<Given<SchemasOf<S[N]>>>
  ) => S[N] extends { readonly item: infer I }
    ? AsyncIterable<OutputOf<I>>
    : S[N] extends { readonly output: infer O }
      ? OutputOf<O>
      : unknown
}

type Items<T> = AsyncIterable<T> | Iterator<T> | ReadableStream<T>

/** What implements a contract on a node: arguments as the schemas give them, then the context. */
export type ImplementationOf<S extends ContractSpec> = {
  readonly [N in keyof S]: (
    ...args: [...Taken<SchemasOf<S[N]>>, context: CallContext]
  ) => S[N] extends { readonly item: infer I }
    ? Items<InputOf<I>> | Promise<Items<InputOf<I>>>
    : S[N] extends { readonly output: infer O }
      ? InputOf<O> | Promise<InputOf<O>>
      : unknown
}
