// Turns the `// => value` comments of an example into comparisons.

import ts from 'typescript'
import { expect } from 'vitest'

const ARROW = /^[ \t]*=>[ \t]*/

/**
 * Called by the rewritten examples.
 * @public
 */
export function check(actual: unknown, expected: unknown, where: string): void {
  expect(actual, where).toEqual(expected)
}

export function hasChecks(code: string): boolean {
  return /\/\/[ \t]*=>/.test(code)
}

/**
 * `f(1) // => 2` becomes `__check((f(1)), (2), 'page.md:7')`. The value follows the statement on its line, or stands on
 * the lines below it, each a comment. `const x = f() // => 2` compares `x`; `console.log(f()) // => 2` what it prints.
 * Lines keep their numbers.
 * @throws Error when a comment follows nothing that has a value
 */
export function withChecks(code: string, where: (line: number) => string): string {
  const source = ts.createSourceFile('example.ts', code, ts.ScriptTarget.Latest, true)
  const edits: { from: number; to: number; text: string }[] = []
  let found = 0
  const visit = (node: ts.Node): void => {
    ts.forEachChild(node, visit)
    const subject = subjectOf(node)
    const value = subject === null ? null : valueAfter(code, node.getEnd())
    if (subject === null || value === null) return
    found++
    const line = source.getLineAndCharacterOfPosition(node.getStart()).line
    const call = (actual: string) => `;__check((${actual}), (${value}), ${JSON.stringify(where(line))});`
    const text = code.slice(subject.getStart(), subject.getEnd())
    if (ts.isExpressionStatement(node)) edits.push({ from: node.getStart(), to: node.getEnd(), text: call(text) })
    else edits.push({ from: node.getEnd(), to: node.getEnd(), text: call(text) })
  }
  visit(source)
  const written = code.match(/\/\/[ \t]*=>/g)?.length ?? 0
  if (found !== written)
    throw new Error(`${where(0)}: ${written - found} of ${written} "// =>" follow no statement with a value`)
  return edits
    .sort((a, b) => b.from - a.from)
    .reduce((text, edit) => text.slice(0, edit.from) + edit.text + text.slice(edit.to), code)
}

/** What a `// =>` after this statement speaks about. */
function subjectOf(node: ts.Node): ts.Node | null {
  if (ts.isVariableStatement(node)) return node.declarationList.declarations[0]?.name ?? null
  if (!ts.isExpressionStatement(node)) return null
  const { expression } = node
  const isLog = ts.isCallExpression(expression) && expression.expression.getText() === 'console.log'
  return isLog && expression.arguments.length === 1 ? (expression.arguments[0] ?? null) : expression
}

/** The text after `// =>`, over as many comment lines as it takes to be an expression. */
function valueAfter(code: string, end: number): string | null {
  const lines = code
    .slice(end)
    .replace(/^[ \t]*;?[ \t]*\n?/, '')
    .split('\n')
  const comments: string[] = []
  for (const line of lines) {
    const comment = /^[ \t]*\/\/(.*)$/.exec(line)?.[1]
    if (comment === undefined) break
    if (comments.length === 0 && !ARROW.test(comment)) return null
    comments.push(comments.length === 0 ? comment.replace(ARROW, '') : comment)
    if (isExpression(comments.join(' '))) return comments.join(' ')
  }
  return comments[0] ?? null
}

function isExpression(text: string): boolean {
  const { diagnostics = [] } = ts.transpileModule(`void (${text})`, { reportDiagnostics: true })
  return diagnostics.length === 0
}
