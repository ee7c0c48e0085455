// What each public entry exports, as text files in api/: a change of the public face shows in review as a diff.
//
//   node scripts/api-report.mjs --update     writes the files
//   node scripts/api-report.mjs              fails when they are out of date
//
// A report lists the declarations of an entry without comments and private members, then the types they name that are
// not exported. Works on the declarations tsc would emit.

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import ts from 'typescript'
import { workspacePackages } from './lib/packages.mjs'
import { root } from './lib/paths.mjs'

const folder = path.join(root, 'api')

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const isUpdate = process.argv.includes('--update')
  const stale = isUpdate ? update() : staleReports()
  for (const name of stale) console.log(`${isUpdate ? 'wrote' : 'out of date:'} api/${name}`)
  if (!isUpdate && stale.length > 0) console.error('If the change is intended: npm run api:update')
  if (!isUpdate) process.exitCode = stale.length === 0 ? 0 : 1
}

/** @returns {string[]} names of reports that are missing, differ or have no entry any more */
export function staleReports() {
  const wanted = reports()
  const present = existsSync(folder) ? readdirSync(folder) : []
  const obsolete = present.filter((name) => !wanted.has(name))
  const differing = [...wanted].filter(([name, text]) => !present.includes(name) || read(name) !== text)
  return [...differing.map(([name]) => name), ...obsolete]
}

/** @returns {string[]} what was written or removed */
function update() {
  const stale = staleReports()
  const wanted = reports()
  mkdirSync(folder, { recursive: true })
  for (const name of stale) {
    const text = wanted.get(name)
    if (text === undefined) rmSync(path.join(folder, name))
    else writeFileSync(path.join(folder, name), text)
  }
  return stale
}

/** @param {string} name */
export function read(name) {
  const file = path.join(folder, name)
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

/** @returns {Map<string, string>} file name in api/ -> text */
export function reports() {
  const entries = workspacePackages().flatMap(({ name, folder: at, manifest }) =>
    Object.entries(manifest.exports).map(([subpath, conditions]) => ({
      specifier: path.posix.join(name, subpath),
      source: path.join(at, conditions['millrace-source'] ?? ''),
    })),
  )
  const present = entries.filter(({ source }) => existsSync(source))
  const { program, declarations } = emitDeclarations(present.map(({ source }) => source))
  return new Map(
    present.map(({ specifier, source }) => [
      `${specifier.replace('@', '').replaceAll('/', '-')}.d.ts.txt`,
      report(specifier, source, program, declarations),
    ]),
  )
}

/**
 * @param {string[]} sources
 * @returns {{ program: ts.Program, declarations: Map<string, ts.SourceFile> }} declarations by path of the source
 */
function emitDeclarations(sources) {
  const { config } = ts.readConfigFile(path.join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root)
  const program = ts.createProgram(sources, { ...options, noEmit: false, declaration: true, emitDeclarationOnly: true })
  const declarations = new Map()
  program.emit(undefined, (name, text, _mark, _error, from) => {
    const source = from?.[0]?.fileName
    if (source !== undefined)
      declarations.set(path.normalize(source), ts.createSourceFile(name, text, ts.ScriptTarget.Latest, true))
  })
  return { program, declarations }
}

/**
 * @param {string} specifier @param {string} entry
 * @param {ts.Program} program @param {Map<string, ts.SourceFile>} declarations
 */
function report(specifier, entry, program, declarations) {
  const checker = program.getTypeChecker()
  const entrySource = program.getSourceFile(entry)
  const moduleSymbol = entrySource && checker.getSymbolAtLocation(entrySource)
  const exported = moduleSymbol === undefined ? [] : checker.getExportsOfModule(moduleSymbol)
  /** @type {string[]} */
  const lines = []
  const seen = new Set()
  /** @type {{ file: string, name: string }[]} */
  const named = []
  for (const symbol of exported.sort((a, b) => compare(a.name, b.name))) {
    const original = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
    for (const file of new Set(original.declarations?.map((one) => path.normalize(one.getSourceFile().fileName)))) {
      const found = statements(declarations.get(file), original.name)
      seen.add(`${file}#${original.name}`)
      if (found.length === 0) lines.push(`export { ${symbol.name} } // from outside`)
      else if (original.name !== symbol.name) lines.push(`// as ${symbol.name}:`)
      lines.push(...found.map(print))
      named.push(...found.flatMap((one) => namesIn(one, file)))
    }
  }
  /** @type {{ name: string, text: string }[]} */
  const hidden = []
  for (let next = named.pop(); next !== undefined; next = named.pop()) {
    const key = `${next.file}#${next.name}`
    if (seen.has(key)) continue
    seen.add(key)
    const { name, file } = next
    const found = statements(declarations.get(file), name)
    hidden.push(...found.map((one) => ({ name, text: print(one).replace(/^export (declare )?/, '') })))
    named.push(...found.flatMap((one) => namesIn(one, file)))
  }
  hidden.sort((a, b) => compare(a.name, b.name) || compare(a.text, b.text))
  const tail = hidden.length === 0 ? [] : ['// Named above, not exported:', '', ...hidden.map(({ text }) => text)]
  return (
    [`// What '${specifier}' exports. Written by: npm run api:update`, '', ...lines, '', ...tail].join('\n').trimEnd() +
    '\n'
  )
}

/** @param {ts.SourceFile | undefined} source @param {string} name @returns {ts.Statement[]} */
function statements(source, name) {
  return (source?.statements ?? []).filter((statement) => {
    if (ts.isVariableStatement(statement)) {
      return statement.declarationList.declarations.some((one) => one.name.getText() === name)
    }
    if (ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement)) return false
    return /** @type {ts.DeclarationStatement} */ (statement).name?.getText() === name
  })
}

/**
 * The types a declaration names, each with the file that declares it.
 * @param {ts.Statement} statement @param {string} file
 */
function namesIn(statement, file) {
  const imported = importedNames(statement.getSourceFile(), file)
  /** @type {{ file: string, name: string }[]} */
  const names = []
  /** @param {ts.Node} node */
  const visit = (node) => {
    /** @type {ts.Node | undefined} */
    const name = ts.isTypeReferenceNode(node)
      ? node.typeName
      : ts.isExpressionWithTypeArguments(node)
        ? node.expression
        : ts.isTypeQueryNode(node)
          ? node.exprName
          : undefined
    if (name !== undefined) names.push(imported.get(name.getText()) ?? { file, name: name.getText() })
    if (!isPrivate(node)) ts.forEachChild(node, visit)
  }
  visit(statement)
  return names
}

/** @param {ts.SourceFile} source @param {string} file */
function importedNames(source, file) {
  /** @type {Map<string, { file: string, name: string }>} */
  const names = new Map()
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement) || !ts.isStringLiteral(statement.moduleSpecifier)) continue
    const { text } = statement.moduleSpecifier
    const from = text.startsWith('.') ? path.join(path.dirname(file), text) : text
    const bindings = statement.importClause?.namedBindings
    if (bindings === undefined || !ts.isNamedImports(bindings)) continue
    for (const { name, propertyName } of bindings.elements) {
      names.set(name.text, { file: from, name: (propertyName ?? name).text })
    }
  }
  return names
}

/** @param {ts.Statement} statement */
function print(statement) {
  const { transformed } = ts.transform(statement, [
    (context) => {
      /** @type {ts.Visitor} */
      const visit = (node) => (isPrivate(node) ? undefined : ts.visitEachChild(node, visit, context))
      return (node) => ts.visitEachChild(node, visit, context)
    },
  ])
  const printer = ts.createPrinter({ removeComments: true })
  return printer.printNode(ts.EmitHint.Unspecified, transformed[0] ?? statement, statement.getSourceFile())
}

/** @param {ts.Node} node */
function isPrivate(node) {
  if (!ts.isClassElement(node)) return false
  if (node.name !== undefined && ts.isPrivateIdentifier(node.name)) return true
  return (
    ts.canHaveModifiers(node) &&
    ts.getModifiers(node)?.some((one) => one.kind === ts.SyntaxKind.PrivateKeyword) === true
  )
}

/** By code unit, the same on every machine. @param {string} a @param {string} b */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0
}
