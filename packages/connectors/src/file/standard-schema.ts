/** Standard Schema (standardschema.dev), version 1: the one interface of zod, valibot, arktype and others. */
import { UsageError } from 'millrace/connector'

/** The part of a Standard Schema that is used here. `Output` is the type of validated values. */
export interface StandardSchema<Output> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

export interface StandardIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** A value that passed, or what is wrong with it in one line. */
export type Checked<T> = { readonly value: T; readonly problem?: undefined } | { readonly problem: string }

/**
 * Validates one value. The value may come back changed: defaults filled in, texts parsed.
 * @throws UsageError `SCHEMA_ASYNC` when the schema validates asynchronously
 */
export function validate<T>(schema: StandardSchema<T>, value: unknown): Checked<T> {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise) {
    result.catch(() => {})
    throw new UsageError(
      'SCHEMA_ASYNC',
      `the schema (${schema['~standard'].vendor}) validates asynchronously; records are decoded in one synchronous loop. Use a synchronous schema here and do the asynchronous check in mapAsync.`,
    )
  }
  if (result.issues === undefined) return { value: result.value }
  return { problem: result.issues.slice(0, 3).map(issueText).join('; ') }
}

function issueText(issue: StandardIssue): string {
  const path = (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
  return path === '' ? issue.message : `${path}: ${issue.message}`
}

/** @throws UsageError `SCHEMA_SHAPE` when it is no Standard Schema of version 1 */
export function checkSchema(schema: unknown): void {
  const standard = (schema as { '~standard'?: { version?: unknown; validate?: unknown } } | null | undefined)?.[
    '~standard'
  ]
  if (standard?.version === 1 && typeof standard.validate === 'function') return
  throw new UsageError(
    'SCHEMA_SHAPE',
    'schema is no Standard Schema: it has no "~standard" property of version 1. zod 3.24, valibot 1 and arktype 2 and later have one.',
  )
}
