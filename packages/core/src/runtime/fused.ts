/**
 * Compiles a chain of inline steps (map, filter, flatMap, keyBy, timestamp) into one loop over a batch.
 *
 * The loop is generated source with one call site per user function, so that V8 inlines every function into it; a loop
 * over an array of closures costs an order of magnitude more (bench/fused). What the chain
 * [filter, map] becomes:
 *
 *   for (;;) {
 *     try {
 *       for (; i0 < n; i0++) {
 *         v0 = r = batch.row(i0)
 *         s = 0; const x0 = f0(v0); if (x0 !== true) { if (x0 !== false) throw wrong(step0, x0); lost0++; continue }
 *         s = 1; const x1 = f1(v0); if (x1 === undefined || x1 instanceof Promise) throw wrong(step1, x1); v0 = x1
 *         indices[o] = i0; rows[o] = v0 === r ? batch.keep(i0) : v0; o++
 *       }
 *       break
 *     } catch (error) { report(...s, v0...); i0++ }        // and on with the next row
 *   }
 *
 * Every flatMap opens an inner loop of the same form ("level") over the rows it returned.
 */
import {
  assemble,
  type Chain,
  type ChainShape,
  type InlineStep,
  itemsOf,
  keyFrom,
  reportRow,
  shapeOf,
  wrongReturn,
} from './chain.ts'
import { interpretChain } from './interpret.ts'

export type { Chain, ChainHost, InlineStep } from './chain.ts'

/**
 * A function that runs batches through `steps`. 'auto' generates code and interprets where the process forbids that
 * (`node --disallow-code-generation-from-strings`); results are equal. A chain holds scratch memory: one per task.
 * @throws EvalError in mode 'generated' where code generation is forbidden
 */
export function compileChain(steps: readonly InlineStep[], mode: 'generated' | 'interpreted' | 'auto' = 'auto'): Chain {
  if (steps.length === 0) return (batch) => (batch.length === 0 ? undefined : batch)
  if (mode === 'interpreted') return interpretChain(steps)
  try {
    return generateChain(steps)
  } catch (error) {
    if (mode === 'auto' && error instanceof EvalError) return interpretChain(steps)
    throw error
  }
}

let chainCount = 0

function generateChain(steps: readonly InlineStep[]): Chain {
  const shape = shapeOf(steps)
  // The source must differ from chain to chain: V8 gives equal sources one compiled function, whose call sites would
  // then see the user functions of several chains and stop inlining them.
  const source = `${chainSource(steps, shape)}\n//# sourceURL=millrace-chain-${++chainCount}`
  const make = new Function('steps', 'shape', 'keyFrom', 'itemsOf', 'wrong', 'report', 'assemble', source)
  return make(steps, shape, keyFrom, itemsOf, wrongReturn, reportRow, assemble) as Chain
}

/** Source of the chain, as the body of a function that returns it. */
export function chainSource(steps: readonly InlineStep[], shape: ChainShape): string {
  const { makesRows, multiplies, setsKeys, setsTimes } = shape
  const collector = multiplies ? '[]' : 'new Array(n)'
  const levels = steps.filter((step) => step.op === 'flatMap').length
  const variables = ['o = 0', 's = 0', 'r', 'errors', 'isFatal = false']
  for (let level = 0; level <= levels; level++) {
    variables.push(`i${level} = 0`, `v${level}`, `t${level} = NaN`, `k${level}`)
  }
  steps.forEach(({ op }, s) => {
    if (op === 'filter') variables.push(`lost${s} = 0`)
    if (op === 'flatMap') variables.push(`made${s} = 0`)
  })
  return `'use strict'
${steps.map((_, s) => `const step${s} = steps[${s}], f${s} = step${s}.fn`).join('\n')}
${multiplies ? '' : 'let indices = new Int32Array(256)'}
return function chain(batch, host) {
const n = batch.length
${multiplies ? 'const indices = []' : 'if (indices.length < n) indices = new Int32Array(n * 2)'}
const rows = ${makesRows ? collector : 'undefined'}
const keys = ${setsKeys ? collector : 'undefined'}
const times = ${setsTimes ? collector : 'undefined'}
let ${variables.join(', ')}
${loopSource(steps, shape, 0, 0)}
${countSource(steps)}
return assemble(batch, shape, o, indices, rows, keys, times)
}`
}

/** The loop of one level: over the batch for level 0, else over the rows the flatMap before `from` returned. */
function loopSource(steps: readonly InlineStep[], shape: ChainShape, from: number, level: number): string {
  const i = `i${level}`
  const v = `v${level}`
  const lines = [level === 0 ? `${v} = r = batch.row(i0)` : `${v} = items${from - 1}[${i}]`]
  if (shape.setsTimes) lines.push(`t${level} = ${level === 0 ? 'NaN' : `t${level - 1}`}`)
  if (shape.setsKeys) lines.push(`k${level} = ${level === 0 ? 'undefined' : `k${level - 1}`}`)
  let s = from
  for (; s < steps.length && steps[s].op !== 'flatMap'; s++) lines.push(stepSource(steps[s], s, level))
  if (s < steps.length) {
    lines.push(
      `s = ${s}; const items${s} = itemsOf(step${s}, f${s}(${v})), n${s} = items${s}.length; made${s} += n${s}; i${level + 1} = 0`,
      loopSource(steps, shape, s + 1, level + 1),
    )
  } else {
    lines.push('indices[o] = i0')
    if (shape.makesRows) lines.push(`rows[o] = ${v} === r ? batch.keep(i0) : ${v}`)
    if (shape.setsKeys) lines.push(`keys[o] = k${level}`)
    if (shape.setsTimes) lines.push(`times[o] = t${level}`)
    lines.push('o++')
  }
  return `for (;;) {
try {
for (; ${i} < ${level === 0 ? 'n' : `n${from - 1}`}; ${i}++) {
${lines.join('\n')}
}
break
} catch (error) {
if (isFatal) throw error
isFatal = true
report(host, batch, i0, s, error, ${v}, r, t${level}, k${level})
isFatal = false
errors ??= new Float64Array(${steps.length})
errors[s]++
${i}++
}
}`
}

function stepSource(step: InlineStep, s: number, level: number): string {
  const call = `s = ${s}; const x${s} = f${s}(v${level});`
  const x = `x${s}`
  switch (step.op) {
    case 'filter':
      return `${call} if (${x} !== true) { if (${x} !== false) throw wrong(step${s}, ${x}); lost${s}++; continue }`
    case 'map':
      return `${call} if (${x} === undefined || ${x} instanceof Promise) throw wrong(step${s}, ${x}); v${level} = ${x}`
    case 'timestamp':
      return `${call} if (typeof ${x} !== 'number' || ${x} - ${x} !== 0) throw wrong(step${s}, ${x}); t${level} = ${x}`
    case 'keyBy':
      // Strings and 32-bit integers are canonical but for a leading U+0000 and -0; the rest goes the long way.
      return `${call} k${level} = typeof ${x} === 'string' && ${x}.charCodeAt(0) !== 0 ? ${x} : typeof ${x} === 'number' && (${x} | 0) === ${x} ? ${x} | 0 : keyFrom(step${s}, ${x})`
    default:
      throw new TypeError(`a ${step.op} step opens a level`)
  }
}

/** Rows in and out of each step follow from the batch's length, what filters lost, what flatMaps made, and the errors. */
function countSource(steps: readonly InlineStep[]): string {
  const lines = steps.map(({ op }, s) => {
    const out =
      op === 'flatMap'
        ? `made${s}`
        : `q${op === 'filter' ? ` - lost${s}` : ''} - (errors === undefined ? 0 : errors[${s}])`
    return `counts[${2 * s}] += q; q = ${out}; counts[${2 * s + 1}] += q`
  })
  return `const counts = host.counts\nlet q = n\n${lines.join('\n')}`
}
