/** The list of arguments of a call, as one schema made of the schemas of a contract. */
import { asyncIteratorOf, isStream } from '../session/pump.ts'
import type { JsonSchema, SchemaIssue, SchemaOf, SchemaResult } from './schema.ts'

/**
 * A schema of the list: each argument fits its own, those that are missing are undefined, more are refused. With one
 * schema that is no list (`isSingle`), paths begin inside the argument, otherwise with its position.
 */
export function argumentsSchema(schemas: readonly SchemaOf[], isSingle: boolean): SchemaOf {
  const join = (results: readonly SchemaResult[]): SchemaResult => {
    const issues = results.flatMap((result, i) =>
      (result.issues ?? []).map(
        ({ message, path = [] }): SchemaIssue => ({ message, path: isSingle ? path : [i, ...path] }),
      ),
    )
    if (issues.length > 0) return { issues }
    return { value: results.map((result) => (result as { readonly value: unknown }).value) }
  }
  return {
    '~standard': {
      version: 1,
      validate(value) {
        const given = Array.isArray(value) ? (value as readonly unknown[]) : [value]
        if (given.length > schemas.length) {
          return { issues: [{ message: `it takes ${schemas.length} arguments, ${given.length} are given` }] }
        }
        const results = schemas.map((schema, i) => schema['~standard'].validate(given[i]))
        return results.some((result) => result instanceof Promise)
          ? Promise.all(results).then(join)
          : join(results as SchemaResult[])
      },
    },
  }
}

const STREAM = 'x-millrace-stream'

/** Is this the JSON Schema of an argument that is a stream? */
export function isStreamJson(schema: JsonSchema): boolean {
  return schema[STREAM] === true
}

/**
 * Schema of an argument that is a stream: each item is held against `item` as the function takes it.
 * @example streamOf({ '~standard': { version: 1, validate: (value) => ({ value }) } })['~standard'].version // => 1
 */
export function streamOf<In, Out>(
  item: SchemaOf<In, Out>,
): SchemaOf<AsyncIterable<In> | ReadableStream<In>, AsyncIterable<Out>> {
  const json = (side: 'input' | 'output') => (options: { readonly target: string }) => {
    const { jsonSchema } = item['~standard'] as {
      readonly jsonSchema?: Record<typeof side, (options: { readonly target: string }) => JsonSchema>
    }
    if (jsonSchema === undefined) throw new TypeError('the schema of the items gives no JSON Schema')
    return { type: 'array', items: jsonSchema[side](options), [STREAM]: true }
  }
  const standard = {
    version: 1 as const,
    validate(value: unknown): SchemaResult<AsyncIterable<Out>> {
      if (!isStream(value)) return { issues: [{ message: 'expected a stream' }] }
      return { value: checkedItems(value as object, item) }
    },
    jsonSchema: { input: json('input'), output: json('output') },
  }
  return { '~standard': standard }
}

/** Looking at a stream does not begin it: the iterator is made at the first step. */
function checkedItems<Out>(stream: object, item: SchemaOf<unknown, Out>): AsyncIterableIterator<Out> {
  let made: AsyncIterator<unknown> | undefined
  let n = 0
  return {
    async next() {
      made ??= asyncIteratorOf(stream) as AsyncIterator<unknown>
      const iterator = made
      const step = await iterator.next()
      if (step.done === true) return { done: true, value: undefined }
      const checked = await item['~standard'].validate(step.value)
      n++
      if (checked.issues === undefined) return { done: false, value: checked.value }
      const [{ message }] = checked.issues
      await iterator.return?.()
      throw new TypeError(`item ${n - 1} of a stream does not fit its contract: ${message}`)
    },
    async return() {
      await (made ?? asyncIteratorOf(stream))?.return?.()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
