import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { allDocBlocks, type DocBlock, fencedBlocks } from './doc-blocks.ts'
import { hasChecks, withChecks } from './doc-checks.ts'
import { root } from './source-files.ts'

const blocks = allDocBlocks()
// A folder per process: several people may run the tests in one checkout.
const generated = path.join(root, 'tests/repo/.generated', String(process.pid))

describe('the reader of examples', () => {
  test('a block knows its page, its line and why it is left out', () => {
    const page =
      'text\n\n```ts\na()\n```\n```ts ignore needs a broker\nb()\n```\n```ts ignore\nc()\n```\n```sh\nls\n```\n'
    expect(fencedBlocks(page, 'page.md', 1)).toEqual([
      { file: 'page.md', line: 4, code: 'a()\n', ignored: null },
      { file: 'page.md', line: 7, code: 'b()\n', ignored: 'needs a broker' },
      { file: 'page.md', line: 10, code: 'c()\n', ignored: '' },
    ])
  })

  test('a continued block begins with the one before it, and its lines keep their numbers', () => {
    const [, second] = fencedBlocks('```ts\nlet a = 1\n```\ntext\n```ts continued\na // => 1\n```\n', 'page.md', 1)
    expect(second).toEqual({ file: 'page.md', line: 2, code: 'let a = 1\n\n\n\na // => 1\n', ignored: null })
  })

  test('a comment with an arrow becomes a comparison', () => {
    const where = (line: number) => `p:${line}`
    expect(withChecks('f(1) // => 2', where)).toBe(';__check((f(1)), (2), "p:0"); // => 2')
    expect(withChecks('const x = f()\n// => { a: 1,\n//   b: 2 }', where)).toContain(
      `;__check((x), ({ a: 1,    b: 2 }), "p:0");`,
    )
    expect(withChecks('console.log(x) // => 1', where)).toContain('((x), (1), "p:0")')
    expect(() => withChecks('// => 1', where)).toThrow('follow no statement')
  })
})

describe('an example', () => {
  const files = blocks.map((block, index) => ({ block, file: path.join(generated, `example-${index}.ts`) }))
  let typeErrors = new Map<string, string[]>()

  beforeAll(() => {
    mkdirSync(generated, { recursive: true })
    for (const { block, file } of files) writeFileSync(file, program(block))
    typeErrors = checkTypes(files.filter(({ block }) => block.ignored === null).map(({ file }) => file))
  }, 60_000)

  afterAll(() => rmSync(generated, { recursive: true, force: true }))

  for (const { block, file } of files) {
    test(`${block.file}:${block.line}`, async () => {
      if (block.ignored !== null) {
        expect(block.ignored, 'write why after ```ts ignore').not.toBe('')
        return
      }
      expect((typeErrors.get(file) ?? []).map((error) => inPage(error, block))).toEqual([])
      if (hasChecks(block.code)) await runInEmptyFolder(file)
    })
  }
})

function program(block: DocBlock): string {
  if (block.ignored !== null || !hasChecks(block.code)) return `export {}; ${block.code}`
  const where = (line: number) => `${block.file}:${block.line + line}`
  return `import { check as __check } from '../../doc-checks.ts'; ${withChecks(block.code, where)}`
}

/** File -> "LINE: message"; lines count from 0 in the example. */
function checkTypes(names: readonly string[]): Map<string, string[]> {
  const { config } = ts.readConfigFile(path.join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root)
  // Nothing is emitted, and an example beside a function imports it by an absolute path.
  const checked = ts.createProgram(names, { ...options, rewriteRelativeImportExtensions: false })
  const errors = new Map<string, string[]>()
  for (const name of names) {
    const source = checked.getSourceFile(name)
    if (source === undefined) throw new Error(`cannot read ${name}`)
    const found = [...checked.getSyntacticDiagnostics(source), ...checked.getSemanticDiagnostics(source)].map(
      ({ start = 0, messageText }) =>
        `${source.getLineAndCharacterOfPosition(start).line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
    )
    if (found.length > 0) errors.set(name, found)
  }
  return errors
}

function inPage(error: string, block: DocBlock): string {
  const [line, ...rest] = error.split(': ')
  return `${block.file}:${block.line + Number(line)}: ${rest.join(': ')}`
}

async function runInEmptyFolder(file: string): Promise<void> {
  const before = process.cwd()
  const folder = mkdtempSync(path.join(tmpdir(), 'millrace-example-'))
  process.chdir(folder)
  try {
    await import(file)
  } finally {
    process.chdir(before)
    rmSync(folder, { recursive: true, force: true })
  }
}
