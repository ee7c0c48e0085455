/** Functions of nodes as tools: names and schemas as a language model's client takes them, and arguments back. Pure. */
import { isStreamJson } from '../contract/arguments.ts'
import type { JsonSchema } from '../contract/schema.ts'
import type { FunctionKind, OfferedFunction } from '../protocol/messages.ts'

export interface Tool {
  /** Letters, digits, `_` and `-`: what every client takes. */
  readonly name: string
  readonly fn: string
  readonly kind: FunctionKind
  readonly description: string
  readonly inputSchema: JsonSchema & { readonly type: 'object' }
  readonly outputSchema: (JsonSchema & { readonly type: 'object' }) | undefined
  /** The list of arguments that a tool call stands for. */
  argumentsOf(given: Readonly<Record<string, unknown>>): unknown[]
}

/** In the order of their names; of two functions whose tools would have one name the later gets a number. */
export function toolsOf(functions: readonly OfferedFunction[]): Tool[] {
  const taken = new Set<string>()
  return [...functions]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((fn) => {
      const plain = fn.name.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, NAME_CHARS_MAX)
      let name = plain
      for (let n = 2; taken.has(name); n++) name = `${plain}_${n}`
      taken.add(name)
      return toolOf(name, fn)
    })
}

const NAME_CHARS_MAX = 60

function toolOf(name: string, { name: fn, kind, description, input, output }: OfferedFunction): Tool {
  const parameters = parametersOf(input)
  const notes = [
    description ?? `The function "${fn}" of a compute node.`,
    ...(kind === 'stream' ? ['It gives a stream; the result lists its items.'] : []),
    ...(parameters.isKnown ? [] : ['It says nothing of its arguments: give them by position, in `args`.']),
  ]
  return {
    name,
    fn,
    kind,
    description: notes.join(' '),
    inputSchema: parameters.schema,
    outputSchema: kind === 'call' && output !== undefined && isObjectSchema(output) ? output : undefined,
    argumentsOf: parameters.argumentsOf,
  }
}

interface Parameters {
  readonly isKnown: boolean
  readonly schema: JsonSchema & { readonly type: 'object' }
  readonly argumentsOf: Tool['argumentsOf']
}

/** One object is the tool's own arguments; titled arguments go by their titles; others by position, in `args`. */
function parametersOf(input: JsonSchema | undefined): Parameters {
  const items = input?.prefixItems as readonly JsonSchema[] | undefined
  if (input === undefined || !Array.isArray(items)) {
    const args = { type: 'array', description: 'The arguments, by position.' }
    return {
      isKnown: false,
      schema: { type: 'object', properties: { args } },
      argumentsOf: ({ args = [] }) => (Array.isArray(args) ? args : [args]),
    }
  }
  const [only] = items
  if (items.length === 0) return { isKnown: true, schema: { type: 'object', properties: {} }, argumentsOf: () => [] }
  if (items.length === 1 && isObjectSchema(only)) {
    return { isKnown: true, schema: only, argumentsOf: (given) => [given] }
  }
  const least = Number(input.minItems ?? items.length)
  const titles = items.map(({ title }) => title)
  const areNames = titles.every((title) => typeof title === 'string' && /^[A-Za-z_][A-Za-z0-9_]*$/.test(title))
  if (areNames && new Set(titles).size === items.length) {
    const names = titles as string[]
    return {
      isKnown: true,
      schema: {
        type: 'object',
        properties: Object.fromEntries(items.map((item, i) => [names[i], item])),
        required: names.slice(0, least),
      },
      argumentsOf: (given) => streamed(trimmed(names.map((name) => given[name])), items),
    }
  }
  return {
    isKnown: true,
    schema: { type: 'object', properties: { args: input }, ...(least > 0 ? { required: ['args'] } : {}) },
    argumentsOf: ({ args = [] }) => streamed(Array.isArray(args) ? args : [args], items),
  }
}

function trimmed(args: unknown[]): unknown[] {
  return args.slice(0, args.findLastIndex((arg) => arg !== undefined) + 1)
}

/** A model gives a list where the function takes a stream. */
function streamed(args: readonly unknown[], items: readonly JsonSchema[]): unknown[] {
  return args.map((arg, i) =>
    items[i] !== undefined && isStreamJson(items[i]) && Array.isArray(arg) ? asStream(arg) : arg,
  )
}

async function* asStream(items: readonly unknown[]): AsyncGenerator<unknown> {
  yield* items
}

function isObjectSchema(schema: JsonSchema): schema is JsonSchema & { readonly type: 'object' } {
  return schema.type === 'object'
}

/** A value as JSON for a reader: dates as ISO text, bigint as decimal text, bytes as base64, maps and sets as lists. */
export function plainOf(value: unknown): unknown {
  const json = JSON.stringify(value ?? null, (_, each: unknown) => {
    if (typeof each === 'bigint') return String(each)
    if (each instanceof Map || each instanceof Set) return [...each]
    if (each instanceof Uint8Array) return { base64: Buffer.from(each).toString('base64') }
    return ArrayBuffer.isView(each) ? Array.from(each as unknown as ArrayLike<number>) : each
  })
  return JSON.parse(json) as unknown
}
