import { readFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { packageFolders, root, sourcePaths } from './source-files.ts'

const CODE = /^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/
const page = readFileSync(path.join(root, 'docs/errors.md'), 'utf8')

describe('docs/errors.md', () => {
  for (const folder of packageFolders()) {
    const thrown = thrownBy(folder)
    if (thrown.size === 0) continue
    test(`has every code that packages/${folder} throws, and no other`, () => {
      expect([...documentedFor(folder)].sort()).toEqual([...thrown].sort())
    })
  }

  test('has each code of a package once, in rows of four cells', () => {
    for (const folder of packageFolders()) {
      const rows = rowsOf(folder)
      expect(rows.length).toBe(new Set(rows.map((row) => row[0])).size)
      for (const row of rows) expect(row, row[0]).toHaveLength(4)
    }
  })
})

/** Rows of the tables below the package's heading. */
function rowsOf(folder: string): string[][] {
  const name = folder === 'core' ? 'millrace' : `@millrace/${folder}`
  const section = page.split(/^## /m).find((text) => text.startsWith(`\`${name}\``)) ?? ''
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => line.slice(2, -2).split(' | '))
}

function documentedFor(folder: string): Set<string> {
  return new Set(rowsOf(folder).map((row) => row[0].replaceAll('`', '')))
}

/** Codes in the sources of a package: what errors are made with, records rejected with, what `code` is set to or may be. */
function thrownBy(folder: string): Set<string> {
  const codes = new Set<string>()
  const add = (node: ts.Node | undefined): void => {
    if (node === undefined) return
    if (ts.isStringLiteral(node) && CODE.test(node.text)) codes.add(node.text)
    else if (ts.isConditionalExpression(node)) [node.whenTrue, node.whenFalse].forEach(add)
    else if (ts.isBinaryExpression(node)) [node.left, node.right].forEach(add)
  }
  const addTypes = (node: ts.Node): void => {
    if (ts.isLiteralTypeNode(node) && ts.isStringLiteral(node.literal)) add(node.literal)
    else ts.forEachChild(node, addTypes)
  }
  const visit = (node: ts.Node): void => {
    if (ts.isNewExpression(node) && /^(Usage|Operational|Invariant|Remote)Error$/.test(node.expression.getText()))
      add(node.arguments?.[0])
    else if (ts.isCallExpression(node)) {
      const called = node.expression.getText()
      if (called === 'invariant') add(node.arguments[1])
      else if (/(^|\.)#?reject$/.test(called)) add(node.arguments[0])
    } else if (ts.isPropertyAssignment(node) && node.name.getText() === 'code') add(node.initializer)
    else if (ts.isVariableDeclaration(node) && node.name.getText() === 'code') add(node.initializer)
    else if (ts.isParameter(node) && node.name.getText() === 'code') ts.forEachChild(node, addTypes)
    ts.forEachChild(node, visit)
  }
  for (const file of sourcePaths(`packages/${folder}/src`)) {
    const text = readFileSync(path.join(root, file), 'utf8')
    visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true))
  }
  return codes
}
