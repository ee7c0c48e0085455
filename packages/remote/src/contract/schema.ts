/** Standard Schemas as remote calls use them: values held against them, and the JSON Schemas they give. */
import { RemoteError } from '../remote-error.ts'

/** What is needed of a Standard Schema: zod, valibot and arktype have it. */
export interface SchemaOf<In = unknown, Out = In> {
  readonly '~standard': {
    readonly version: 1
    readonly validate: (value: unknown) => SchemaResult<Out> | Promise<SchemaResult<Out>>
    readonly types?: { readonly input: In; readonly output: Out } | undefined
  }
}

export type SchemaResult<Out = unknown> =
  | { readonly value: Out; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly unknown[] | undefined
}

export type InputOf<S> = S extends SchemaOf ? NonNullable<S['~standard']['types']>['input'] : never
export type OutputOf<S> = S extends SchemaOf ? NonNullable<S['~standard']['types']>['output'] : never

export type JsonSchema = Readonly<Record<string, unknown>>

const ISSUES_MAX = 10

/** The value as the schema gives it. @throws RemoteError `INVALID_ARGUMENT` with the paths that do not fit */
export async function validate(schema: SchemaOf, value: unknown, what: string, fn: string): Promise<unknown> {
  return valueOrRefusal(await schema['~standard'].validate(value), what, fn)
}

/** @throws RemoteError `INVALID_ARGUMENT` with the paths that do not fit */
export function valueOrRefusal(result: SchemaResult, what: string, fn: string): unknown {
  if (result.issues === undefined) return result.value
  const issues = result.issues.slice(0, ISSUES_MAX).map(({ message, path = [] }) => ({
    path: path
      .map((part) => String(typeof part === 'object' && part !== null ? (part as { key: unknown }).key : part))
      .join('.'),
    message,
  }))
  const list = issues.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ')
  throw new RemoteError('INVALID_ARGUMENT', `${what} of "${fn}" do not fit its contract: ${list}.`, {
    function: fn,
    data: { issues },
  })
}

/** Standard JSON Schema, which zod 4.2 and later, and others, have beside Standard Schema. */
interface JsonConverter {
  input(options: { readonly target: string }): Record<string, unknown>
  output(options: { readonly target: string }): Record<string, unknown>
}

/** The JSON Schema that the library gives of its schema; undefined when it gives none, or cannot for this one. */
export function jsonSchemaOf(schema: SchemaOf, side: 'input' | 'output'): JsonSchema | undefined {
  const { jsonSchema } = schema['~standard'] as { readonly jsonSchema?: JsonConverter }
  if (typeof jsonSchema?.[side] !== 'function') return undefined
  try {
    return jsonSchema[side]({ target: 'draft-2020-12' })
  } catch {
    // Dates, transforms and the like have no JSON Schema; the function is then listed without one.
    return undefined
  }
}
