// Reads TypeScript sources for the tests of this folder: which files there are, and what each imports.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Import {
  readonly specifier: string
  /** Erased before anything runs. */
  readonly isTypeOnly: boolean
  readonly line: number
}

export interface SourceFile {
  /** From the root of the repository, with slashes. */
  readonly file: string
  readonly imports: readonly Import[]
  /** Global names used, dotted: `Date.now`, `setTimeout`. */
  readonly globals: readonly { readonly name: string; readonly line: number }[]
}

/** Folders of packages/ that have sources, in alphabetical order. */
export function packageFolders(): string[] {
  return readdirSync(path.join(root, 'packages'))
    .filter((name) => existsSync(path.join(root, 'packages', name, 'package.json')))
    .sort()
}

/** Production sources of a folder: no tests, no type tests. */
export function sourcePaths(folder: string): string[] {
  const absolute = path.join(root, folder)
  if (!existsSync(absolute)) return []
  return readdirSync(absolute, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name) && !/\.test(-d)?\.tsx?$/.test(name) && !name.includes('node_modules'))
    .map((name) => `${folder}/${name.replaceAll(path.sep, '/')}`)
    .sort()
}

export function readSource(file: string): SourceFile {
  const source = ts.createSourceFile(file, readFileSync(path.join(root, file), 'utf8'), ts.ScriptTarget.Latest, true)
  const imports: Import[] = []
  const globals: { name: string; line: number }[] = []
  const imported = new Set<string>()
  const lineOf = (node: ts.Node) => source.getLineAndCharacterOfPosition(node.getStart()).line + 1
  const add = (specifier: ts.Expression, isTypeOnly: boolean) => {
    if (ts.isStringLiteral(specifier)) imports.push({ specifier: specifier.text, isTypeOnly, line: lineOf(specifier) })
  }

  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const clause = node.importClause
      add(node.moduleSpecifier, clause !== undefined && isErased(clause))
      const named = clause?.namedBindings
      if (named !== undefined && ts.isNamedImports(named))
        for (const { name } of named.elements) imported.add(name.text)
    } else if (ts.isExportDeclaration(node)) {
      if (node.moduleSpecifier !== undefined) add(node.moduleSpecifier, node.isTypeOnly)
    } else if (ts.isImportTypeNode(node)) {
      if (ts.isLiteralTypeNode(node.argument)) add(node.argument.literal as ts.Expression, true)
    } else if (ts.isCallExpression(node)) {
      const callee = node.expression
      if (callee.kind === ts.SyntaxKind.ImportKeyword && node.arguments[0] !== undefined) add(node.arguments[0], false)
      if (ts.isIdentifier(callee) && !imported.has(callee.text)) globals.push({ name: callee.text, line: lineOf(node) })
    } else if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
      globals.push({ name: `${node.expression.text}.${node.name.text}`, line: lineOf(node) })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return { file, imports, globals }
}

function isErased(clause: ts.ImportClause): boolean {
  if (clause.phaseModifier === ts.SyntaxKind.TypeKeyword) return true
  if (clause.name !== undefined || clause.namedBindings === undefined) return false
  const named = clause.namedBindings
  return ts.isNamedImports(named) && named.elements.length > 0 && named.elements.every((element) => element.isTypeOnly)
}
