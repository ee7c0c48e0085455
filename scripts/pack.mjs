// Builds the packages and packs them as they are published, into .pack/*.tgz; checks what came out.
//
// The package.json of the workspace points to sources under the condition `millrace-source` and is private, so that
// `npm publish` in a package folder fails instead of publishing that. Here each package is copied without both.

import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { npmCli } from './lib/npm.mjs'
import { workspacePackages } from './lib/packages.mjs'
import { root } from './lib/paths.mjs'

const target = path.join(root, '.pack')
/** @type {string[]} */
const complaints = []

const built = spawnSync(process.execPath, [path.join(root, 'scripts', 'build.mjs')], { stdio: 'inherit' })
if (built.status !== 0) process.exit(1)
rmSync(target, { recursive: true, force: true })
for (const one of workspacePackages()) {
  const staged = stage(one)
  const { files, filename } = pack(staged)
  const from = path.basename(one.folder)
  for (const file of files) if (!belongs(file)) complaints.push(`${from}: ${file} does not belong in a package`)
  for (const file of files) complaints.push(...workersByTypeScriptName(staged, file).map((text) => `${from}: ${text}`))
  const tarball = path.join(target, filename)
  check(from, 'publint', script('publint', 'publint'), ['--strict', staged])
  check(from, 'attw', script('@arethetypeswrong/cli', 'attw'), ['--profile', 'esm-only', '--format', 'ascii', tarball])
}
checkConsumer()

for (const complaint of complaints) console.error(`pack: ${complaint}`)
console.log(complaints.length === 0 ? 'pack: every package is fit to publish' : `pack: ${complaints.length} complaints`)
process.exit(complaints.length === 0 ? 0 : 1)

/** @param {import('./lib/packages.mjs').Package} one @returns {string} the folder to publish */
function stage({ folder, manifest }) {
  const staged = path.join(target, path.basename(folder))
  mkdirSync(staged, { recursive: true })
  for (const name of ['dist', 'bin', 'README.md']) {
    if (existsSync(path.join(folder, name)))
      cpSync(path.join(folder, name), path.join(staged, name), { recursive: true })
  }
  cpSync(path.join(root, 'LICENSE'), path.join(staged, 'LICENSE'))
  const published = structuredClone(manifest)
  delete published.private
  for (const entry of Object.values(published.exports)) delete entry['millrace-source']
  writeFileSync(path.join(staged, 'package.json'), `${JSON.stringify(published, null, 2)}\n`)
  return staged
}

/** @param {string} staged @returns {{ filename: string, files: string[] }} */
function pack(staged) {
  const output = execFileSync(process.execPath, [npmCli(), 'pack', '--json', '--pack-destination', target], {
    cwd: staged,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const parsed = JSON.parse(output)
  const [report] = Array.isArray(parsed) ? parsed : Object.values(parsed)
  return {
    filename: report.filename,
    files: report.files.map((/** @type {{ path: string }} */ { path: name }) => name),
  }
}

/** @param {string} file */
function belongs(file) {
  return (
    /^(package\.json|README\.md|LICENSE|bin\/.+\.js|dist\/.+\.(js|d\.ts|json))$/.test(file) && !/\.test\./.test(file)
  )
}

/**
 * tsc rewrites the names in imports, not those in `new URL('./worker.ts', import.meta.url)`, and there is no .ts file
 * in a package.
 * @param {string} staged @param {string} file
 */
function workersByTypeScriptName(staged, file) {
  if (!file.endsWith('.js')) return []
  const found = readFileSync(path.join(staged, file), 'utf8').match(/new URL\(\s*['"`][^'"`]*\.ts['"`]/g) ?? []
  return found.map(
    (text) => `${file} has ${text}..., which is not in the package; derive the ending from import.meta.url`,
  )
}

/**
 * A program that imports every entry of what was packed, compiled with the strictest settings and run: no workspace
 * condition, no source.
 */
function checkConsumer() {
  const folder = path.join(target, 'consumer')
  const packed = workspacePackages()
  for (const { name, folder: from } of packed) {
    cpSync(path.join(target, path.basename(from)), path.join(folder, 'node_modules', name), { recursive: true })
  }
  const specifiers = packed.flatMap(({ name, manifest }) =>
    Object.keys(manifest.exports).map((subpath) => path.posix.join(name, subpath)),
  )
  const lines = specifiers.map(
    (specifier, index) => `import * as entry${index} from '${specifier}'\nvoid entry${index}\n`,
  )
  writeFileSync(path.join(folder, 'package.json'), '{ "type": "module" }\n')
  writeFileSync(path.join(folder, 'main.ts'), lines.join(''))
  const settings = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--skipLibCheck', 'false']
  const target2024 = ['--module', 'nodenext', '--target', 'es2024', '--types', 'node', '--noEmit', '--ignoreConfig']
  check('consumer', 'tsc', script('typescript', 'tsc'), [...settings, ...target2024, path.join(folder, 'main.ts')])
  check('consumer', 'node', path.join(folder, 'main.ts'), [])
  runFlow(folder)
}

/** A flow in TypeScript, in two threads, by the packed command line. @param {string} folder */
function runFlow(folder) {
  const flow = `import { jsonLines } from '@millrace/connectors/file'
import { count, dataflow, tumbling } from 'millrace'

const flow = dataflow('consumer')
flow
  .source('in', jsonLines<{ at: number }>({ path: 'in.jsonl' }), { time: (row) => row.at, disorder: '0s' })
  .keyBy(() => 'all')
  .window(tumbling('10s'))
  .aggregate('counts', { n: count() })
  .sink('out', jsonLines({ path: 'out.jsonl' }))
export default flow
`
  writeFileSync(path.join(folder, 'flow.ts'), flow)
  writeFileSync(path.join(folder, 'in.jsonl'), '{"at":0}\n{"at":9000}\n')
  const millrace = path.join(folder, 'node_modules', 'millrace', 'bin', 'millrace.js')
  check('consumer', 'millrace', millrace, ['run', 'flow.ts', '--workers', '2', '--no-metrics'], folder)
  const out = path.join(folder, 'out.jsonl')
  const written = existsSync(out) ? readFileSync(out, 'utf8') : 'nothing'
  const wanted = '{"key":"all","window":{"start":0,"end":10000},"n":2}\n'
  if (written !== wanted) complaints.push(`consumer: millrace run wrote ${written} instead of ${wanted}`)
}

/** @param {string} name @param {string} command @returns {string} the JavaScript file of a tool's command */
function script(name, command) {
  const folder = path.join(root, 'node_modules', name)
  const { bin } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
  return path.join(folder, typeof bin === 'string' ? bin : bin[command])
}

/** @param {string} from @param {string} tool @param {string} file @param {string[]} args @param {string} [cwd] */
function check(from, tool, file, args, cwd = target) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...args], { cwd, encoding: 'utf8' })
  if (status !== 0) complaints.push(`${from}: ${tool} says:\n${stdout}${stderr}`)
}
