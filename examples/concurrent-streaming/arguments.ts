/** Reads the configuration a caller sends: camelCase, snake_case too; what does not fit is INVALID_ARGUMENT, by name. */
import { RemoteError } from '@millrace/remote'

export interface NumberRange {
  readonly min?: number
  readonly max?: number
  /** `min` itself does not fit. */
  readonly above?: boolean
  readonly whole?: boolean
}

export class Arguments {
  readonly #fields: ReadonlyMap<string, unknown>
  readonly #path: string

  /** @throws RemoteError `INVALID_ARGUMENT` for what is no object, or has a field that is none of `known` */
  constructor(value: unknown, known: readonly string[], path = '') {
    this.#path = path
    const fields = new Map<string, unknown>()
    if (value !== undefined && (typeof value !== 'object' || value === null || Array.isArray(value)))
      throw refused(path, `the configuration is ${JSON.stringify(value)}; it must be an object.`)
    for (const [given, field] of Object.entries(value ?? {})) {
      const name = given.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
      if (!known.includes(name))
        throw refused(path + given, `there is no field "${path + given}". There are ${known.join(', ')}.`)
      if (fields.has(name)) throw refused(path + given, `"${path + name}" is given twice, in two spellings.`)
      fields.set(name, field)
    }
    this.#fields = fields
  }

  number(name: string, otherwise: number, { min, max, above = false, whole = false }: NumberRange = {}): number {
    const value = this.#fields.get(name) ?? otherwise
    const isLow = min !== undefined && (above ? !((value as number) > min) : !((value as number) >= min))
    if (typeof value !== 'number' || !Number.isFinite(value) || isLow || (whole && !Number.isInteger(value)))
      throw this.#refused(name, value, `${whole ? 'a whole number' : 'a number'}${rangeOf(min, max, above)}`)
    if (max !== undefined && value > max) throw this.#refused(name, value, `at most ${max}, which is this node's limit`)
    return value
  }

  text(name: string, otherwise: string): string {
    const value = this.#fields.get(name) ?? otherwise
    if (typeof value !== 'string' || value === '') throw this.#refused(name, value, 'a text')
    return value
  }

  texts(name: string, otherwise: readonly string[], sizeMax: number): readonly string[] {
    const value = this.#fields.get(name) ?? otherwise
    const isList = Array.isArray(value) && value.length > 0 && value.length <= sizeMax
    if (!isList || !value.every((each) => typeof each === 'string' && each !== ''))
      throw this.#refused(name, value, `a list of 1 to ${sizeMax} names`)
    return [...new Set(value as string[])]
  }

  /** Undefined when it is not given. */
  maybe(name: string): unknown {
    return this.#fields.get(name)
  }

  #refused(name: string, value: unknown, wanted: string): RemoteError {
    return refused(this.#path + name, `"${this.#path + name}" is ${JSON.stringify(value)}; it must be ${wanted}.`)
  }
}

function rangeOf(min: number | undefined, max: number | undefined, above: boolean): string {
  const least = min === undefined ? '' : above ? ` above ${min}` : ` of at least ${min}`
  return max === undefined ? least : `${least}${least === '' ? '' : ' and'} at most ${max}`
}

export function refused(path: string, message: string): RemoteError {
  return new RemoteError('INVALID_ARGUMENT', message, { data: { path } })
}
