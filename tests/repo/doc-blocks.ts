// Finds the TypeScript examples of the documentation: fenced blocks of Markdown files and @example tags of docstrings.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { workspacePackages } from '../../scripts/lib/packages.mjs'
import { packageFolders, root, sourcePaths } from './source-files.ts'

export interface DocBlock {
  readonly file: string
  /** Of the first line of code, from 1. */
  readonly line: number
  readonly code: string
  /** Why it is neither type-checked nor run; an empty string is a complaint. */
  readonly ignored: string | null
}

const FENCE = /^([ \t]*)```(\w*)[ \t]*(.*)\n([\s\S]*?)^[ \t]*```[ \t]*$/gm

export function allDocBlocks(): DocBlock[] {
  const pages = ['README.md', ...markdownBelow('docs/guide'), ...packageFolders().map((p) => `packages/${p}/README.md`)]
  const docstrings = packageFolders().flatMap((folder) => {
    let names: ReadonlyMap<string, string> | undefined
    const once = () => (names ??= publicNames(folder))
    return sourcePaths(`packages/${folder}/src`).flatMap((file) => docstringBlocks(file, once))
  })
  return [...pages.filter((page) => existsSync(path.join(root, page))).flatMap(pageBlocks), ...docstrings]
}

function pageBlocks(file: string): DocBlock[] {
  return fencedBlocks(readFileSync(path.join(root, file), 'utf8'), file, 1)
}

/**
 * The words after ```ts: `ignore WHY` leaves the block unchecked; `continued` puts the block before it on the page in
 * front of it.
 */
export function fencedBlocks(text: string, file: string, firstLine: number): DocBlock[] {
  const blocks: DocBlock[] = []
  for (const match of text.matchAll(FENCE)) {
    const [, indent = '', language, words = '', body = ''] = match
    if (language !== 'ts' && language !== 'typescript') continue
    const line = firstLine + text.slice(0, match.index).split('\n').length
    const code = body.replaceAll(new RegExp(`^${indent}`, 'gm'), '')
    const previous = blocks.at(-1)
    if (words.trim() === 'continued' && previous !== undefined) {
      const gap = '\n'.repeat(Math.max(0, line - previous.line - lineCount(previous.code)))
      blocks.push({ ...previous, code: previous.code + gap + code })
    } else {
      blocks.push({ file, line, code, ignored: /^ignore\b/.test(words) ? words.slice('ignore'.length).trim() : null })
    }
  }
  return blocks
}

function docstringBlocks(file: string, publicNames: () => ReadonlyMap<string, string>): DocBlock[] {
  const text = readFileSync(path.join(root, file), 'utf8')
  if (!text.includes('@example')) return []
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const tags = new Set<ts.JSDocTag>()
  const visit = (node: ts.Node): void => {
    for (const tag of ts.getJSDocTags(node)) if (tag.tagName.text === 'example') tags.add(tag)
    ts.forEachChild(node, visit)
  }
  visit(source)
  const own = exportedNames(source).map((name): [string, string] => [name, path.join(root, file)])
  const names = new Map([...publicNames(), ...own])
  return [...tags].flatMap((tag) => {
    const comment = ts.getTextOfJSDocComment(tag.comment) ?? ''
    const isOnTagLine = /^@example[ \t]*\S/.test(text.slice(tag.getStart()))
    const tagLine = source.getLineAndCharacterOfPosition(tag.getStart()).line + 1
    const line = isOnTagLine ? tagLine : tagLine + 1
    const blocks = comment.includes('```')
      ? fencedBlocks(comment, file, line)
      : [{ file, line, code: comment, ignored: null }]
    return blocks.map((block) => ({ ...block, code: withImports(block.code, names) }))
  })
}

/** An example beside a function need not import it, nor the public names of its package. */
function withImports(code: string, names: ReadonlyMap<string, string>): string {
  const used = [...names].filter(([name]) => new RegExp(`(?<![.\\w])${name}\\b`).test(code) && !declares(code, name))
  return used.map(([name, from]) => `import { ${name} } from '${from}'; `).join('') + code
}

/** Name -> entry that exports it, of one package; the main entry goes first. */
function publicNames(folder: string): Map<string, string> {
  const found = workspacePackages().find((one) => path.basename(one.folder) === folder)
  const entries = Object.entries(found?.manifest.exports ?? {}).map(([subpath, conditions]) => ({
    specifier: path.posix.join(found?.name ?? '', subpath),
    source: path.join(found?.folder ?? '', conditions['millrace-source'] ?? ''),
  }))
  const { config } = ts.readConfigFile(path.join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root)
  const program = ts.createProgram(entries.map(({ source }) => source).filter(existsSync), options)
  const checker = program.getTypeChecker()
  const names = new Map<string, string>()
  for (const { specifier, source } of entries) {
    const file = program.getSourceFile(source)
    const symbol = file && checker.getSymbolAtLocation(file)
    for (const { name } of symbol === undefined ? [] : checker.getExportsOfModule(symbol)) {
      if (!names.has(name) && name !== 'default') names.set(name, specifier)
    }
  }
  return names
}

function declares(code: string, name: string): boolean {
  return new RegExp(`\\b(const|let|function|class|type|interface)\\s+${name}\\b|import[^;'"]*\\b${name}\\b`).test(code)
}

function exportedNames(source: ts.SourceFile): string[] {
  return source.statements.flatMap((statement) => {
    const isExported =
      ts.canHaveModifiers(statement) && ts.getModifiers(statement)?.some((m) => m.kind === ts.SyntaxKind.ExportKeyword)
    if (!isExported) return []
    if (ts.isVariableStatement(statement))
      return statement.declarationList.declarations.map((one) => one.name.getText())
    const { name } = statement as ts.DeclarationStatement
    return name === undefined ? [] : [name.getText()]
  })
}

function markdownBelow(folder: string): string[] {
  const absolute = path.join(root, folder)
  if (!existsSync(absolute) || !statSync(absolute).isDirectory()) return []
  return readdirSync(absolute, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => `${folder}/${name.replaceAll(path.sep, '/')}`)
    .sort()
}

function lineCount(text: string): number {
  return text.split('\n').length - 1
}
