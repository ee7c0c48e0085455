/**
 * The shapes of plain objects: their own enumerable names, in order. A shape takes rows apart into one array per name and
 * builds rows from such arrays, with generated code that gives all rows of a shape one hidden class.
 *
 * Invariants:
 *  S1  `matches` holds only for plain objects (prototype Object.prototype or null, not arrays) that have exactly the
 *      shape's names in its order and no property named by a symbol: nothing of a row that matches is lost.
 *  S2  Interpreted and generated code give equal results; a process that forbids code generation interprets.
 *  S3  No shape has a property '__proto__': an object literal cannot define it.
 */

/** Objects with more properties have no shape: they are dictionaries rather than records. */
const namesMax = 128
/** Shapes remembered; beyond, all are forgotten. */
const shapesMax = 1024
/** Rows of a shape after which generating code pays. */
const generateAfterRows = 64

type Extract = (rows: readonly unknown[], count: number) => unknown[][] | undefined
type Build = (columns: readonly ArrayLike<unknown>[], count: number) => unknown[]

/** What the values at one place looked like last time: found again without a look-up. */
export class Hint {
  shape: Shape | undefined
  #items: Hint | undefined

  /** Of the items of arrays at this place. */
  get items(): Hint {
    this.#items ??= new Hint()
    return this.#items
  }
}

const { getPrototypeOf, getOwnPropertySymbols } = Object
const objectPrototype: unknown = Object.prototype
const bySignature = new Map<string, Shape>()

export class Shape {
  readonly names: readonly string[]
  /** JSON text of the names: what frames say. */
  readonly signature: string
  /** By name. */
  readonly hints: readonly Hint[]
  #extract: Extract
  #build: Build
  #rows = 0

  constructor(names: readonly string[], signature: string) {
    this.names = names
    this.signature = signature
    this.hints = names.map(() => new Hint())
    this.#extract = (rows, count) => this.#extractEach(rows, count)
    this.#build = (columns, count) => this.#buildEach(columns, count)
  }

  matches(row: unknown): row is Readonly<Record<string, unknown>> {
    if (typeof row !== 'object' || row === null || Array.isArray(row)) return false
    const proto: unknown = getPrototypeOf(row)
    if (proto !== objectPrototype && proto !== null) return false
    const names = this.names
    let k = 0
    for (const name in row) if (name !== names[k++]) return false
    return k === names.length && getOwnPropertySymbols(row).length === 0
  }

  /** The values of the rows by name; undefined when a row does not match. */
  extract(rows: readonly unknown[], count: number): unknown[][] | undefined {
    this.#count(count)
    return this.#extract(rows, count)
  }

  build(columns: readonly ArrayLike<unknown>[], count: number): unknown[] {
    this.#count(count)
    return this.#build(columns, count)
  }

  #count(rows: number): void {
    if (this.#rows >= generateAfterRows) return
    this.#rows += rows
    if (this.#rows < generateAfterRows) return
    try {
      this.#extract = generateExtract(this.names)
      this.#build = generateBuild(this.names)
    } catch (error) {
      if (!(error instanceof EvalError)) throw error
    }
  }

  #extractEach(rows: readonly unknown[], count: number): unknown[][] | undefined {
    const { names } = this
    const columns = names.map(() => new Array<unknown>(count))
    for (let i = 0; i < count; i++) {
      const row = rows[i]
      if (!this.matches(row)) return undefined
      for (let c = 0; c < names.length; c++) columns[c][i] = row[names[c]]
    }
    return columns
  }

  #buildEach(columns: readonly ArrayLike<unknown>[], count: number): unknown[] {
    const { names } = this
    const rows = new Array<unknown>(count)
    for (let i = 0; i < count; i++) {
      const row: Record<string, unknown> = {}
      for (let c = 0; c < names.length; c++) row[names[c]] = columns[c][i]
      rows[i] = row
    }
    return rows
  }
}

/** The shape of an object; undefined when it has none: see S1 and S3. */
export function shapeOf(row: object): Shape | undefined {
  const names = Object.keys(row)
  if (names.length > namesMax || names.includes('__proto__')) return undefined
  const signature = JSON.stringify(names)
  const shape = bySignature.get(signature) ?? remember(new Shape(names, signature))
  return shape.matches(row) ? shape : undefined
}

/** The shape that a frame names. */
export function shapeBySignature(signature: string): Shape {
  return bySignature.get(signature) ?? remember(new Shape(JSON.parse(signature) as string[], signature))
}

function remember(shape: Shape): Shape {
  if (bySignature.size >= shapesMax) bySignature.clear()
  bySignature.set(shape.signature, shape)
  return shape
}

function generateExtract(names: readonly string[]): Extract {
  const columns = names.map((_, c) => `c${c}`)
  const source = `'use strict'
return function extract(rows, count) {
${columns.map((column) => `const ${column} = new Array(count)`).join('\n')}
for (let i = 0; i < count; i++) {
const row = rows[i]
if (typeof row !== 'object' || row === null || Array.isArray(row)) return undefined
const proto = getPrototypeOf(row)
if (proto !== objectPrototype && proto !== null) return undefined
let k = 0
for (const name in row) if (name !== names[k++]) return undefined
if (k !== ${names.length} || getOwnPropertySymbols(row).length !== 0) return undefined
${names.map((name, c) => `c${c}[i] = row[${JSON.stringify(name)}]`).join('\n')}
}
return [${columns.join(', ')}]
}`
  const make = new Function('names', 'objectPrototype', 'getPrototypeOf', 'getOwnPropertySymbols', source)
  return make(names, objectPrototype, getPrototypeOf, getOwnPropertySymbols) as Extract
}

function generateBuild(names: readonly string[]): Build {
  const source = `'use strict'
return function build(columns, count) {
${names.map((_, c) => `const c${c} = columns[${c}]`).join('\n')}
const rows = new Array(count)
for (let i = 0; i < count; i++) rows[i] = { ${names.map((name, c) => `${JSON.stringify(name)}: c${c}[i]`).join(', ')} }
return rows
}`
  return new Function(source)() as Build
}
