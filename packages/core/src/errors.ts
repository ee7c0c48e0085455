/**
 * The three error classes, by who must act: the author of the flow, whoever runs the environment, or us.
 * Every error carries a stable `code` (listed in docs/errors.md), the `step` where one is known, and plain `data`.
 */
export interface ErrorDetails {
  /** Name of the step, source or sink the error belongs to. */
  readonly step?: string
  /** JSON-safe facts that tools and tests read; never secrets. */
  readonly data?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

export class MillraceError extends Error {
  readonly code: string
  readonly step: string | undefined
  readonly data: Readonly<Record<string, unknown>>

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.step = details.step
    this.data = details.data ?? {}
  }

  /** One line as the terminal prints it: the code, the step, the message. */
  describe(): string {
    return `${this.code}  ${this.step === undefined ? '' : `step "${this.step}": `}${this.message}`
  }
}

/** The author of the flow must act. Thrown while a flow is built, planned or started, before data flows. */
export class UsageError extends MillraceError {
  override readonly name = 'UsageError'
}

/** The environment failed: a disk, a file, a peer, a record. */
export class OperationalError extends MillraceError {
  override readonly name = 'OperationalError'
  /** True when doing the same again may succeed. */
  readonly retryable: boolean

  constructor(code: string, message: string, details: ErrorDetails & { readonly retryable?: boolean } = {}) {
    super(code, message, details)
    this.retryable = details.retryable ?? false
  }
}

/** Something that must always be true was not. The task stops; the message holds what reproduces it. */
export class InvariantError extends MillraceError {
  override readonly name = 'InvariantError'
}

/** Stops the task when `condition` is false; cheap enough for the batch path, not for the record path. */
export function invariant(
  condition: boolean,
  code: string,
  message: string,
  data?: Record<string, unknown>,
): asserts condition {
  if (!condition) throw new InvariantError(code, message, data === undefined ? {} : { data })
}

/** A message for something that was thrown, whatever it is. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}
