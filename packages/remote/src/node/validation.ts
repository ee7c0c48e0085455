/** Arguments and results held against a Standard Schema, where a function has one. */
import { RemoteError } from '../remote-error.ts'

/** What validation needs of a Standard Schema: zod, valibot and arktype have it. */
export interface SchemaOf {
  readonly '~standard': {
    readonly version: 1
    readonly validate: (value: unknown) => SchemaResult | Promise<SchemaResult>
  }
}

type SchemaResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string; readonly path?: readonly unknown[] | undefined }[] }

/** @throws RemoteError `INVALID_ARGUMENT` with the paths that do not fit */
export async function validate(schema: SchemaOf, value: unknown, what: string, fn: string): Promise<unknown> {
  const checked = schema['~standard'].validate(value)
  const result = checked instanceof Promise ? await checked : checked
  if (result.issues === undefined) return result.value
  const issues = result.issues.slice(0, 10).map(({ message, path = [] }) => ({
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
