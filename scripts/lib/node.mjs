// Finds or fetches a Node that satisfies `engines`, and the npm to go with it.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { withLock } from './lock.mjs'

export const root = fileURLToPath(new URL('../../', import.meta.url))
export const toolFolder = path.join(root, '.node')

const SUPPORTED = '22.22 or later of 22, or 24.6 and later'
const FETCHED_MAJOR = 24

/**
 * `>=22.22 <23 || >=24.6`, as in package.json; written out because semver is not installed yet when this runs.
 * @param {string} version as in process.versions.node
 */
export function isSupported(version) {
  const [major, minor] = version.split('.').map(Number)
  return (major === 22 && minor >= 22) || (major === 24 && minor >= 6) || major > 24
}

/** @returns {Promise<string>} path of a supported Node: this one, or one fetched once into .node/ */
export async function ensureNode() {
  if (isSupported(process.versions.node)) return process.execPath
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const folder = path.join(toolFolder, `${name}-${FETCHED_MAJOR}`)
  const binary = path.join(folder, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (!existsSync(binary)) {
    await withLock('node', () => {
      if (!existsSync(binary)) fetchNode(name, folder, binary)
    })
  }
  return binary
}

/**
 * Installs beside the final place and renames, so that an interrupted download is never taken for a Node.
 * @param {string} name @param {string} folder @param {string} binary
 */
function fetchNode(name, folder, binary) {
  console.error(
    `millrace: Node ${process.versions.node} is too old; fetching Node ${FETCHED_MAJOR} as ${name} from npm (once, about 200 MB)`,
  )
  const work = `${folder}.${process.pid}.tmp`
  rmSync(work, { recursive: true, force: true })
  mkdirSync(work, { recursive: true })
  writeFileSync(path.join(work, 'package.json'), '{ "private": true }\n')
  const args = [npmCli(), 'install', `${name}@${FETCHED_MAJOR}`, '--ignore-scripts', '--no-audit', '--no-fund']
  const npm = spawnSync(process.execPath, args, {
    cwd: work,
    stdio: ['ignore', 'ignore', 'inherit'],
    env: cleanNpmEnvironment(),
  })
  const fetched = path.join(work, path.relative(folder, binary))
  const probe = npm.status === 0 ? spawnSync(fetched, ['--version'], { encoding: 'utf8' }) : null
  if (probe?.status !== 0) {
    rmSync(work, { recursive: true, force: true })
    const what =
      probe === null
        ? 'npm could not install it'
        : `it does not start here (${probe.error?.message ?? probe.stderr.trim()})`
    throw new Error(
      `Node ${process.versions.node} is too old (needs ${SUPPORTED}) and fetching ${name}@${FETCHED_MAJOR} failed: ${what}. ` +
        'Connect to an npm registry once, or put a supported Node first on PATH.',
    )
  }
  rmSync(folder, { recursive: true, force: true })
  renameSync(work, folder)
}

/** @returns {string} the npm-cli.js of the npm that started us, or of the first npm on PATH */
export function npmCli() {
  const given = process.env.npm_execpath
  if (given !== undefined && path.basename(given) === 'npm-cli.js' && existsSync(given)) return given
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    if (folder === '') continue
    const beside = path.join(folder, 'node_modules', 'npm', 'bin', 'npm-cli.js')
    if (existsSync(beside)) return beside
    const link = path.join(folder, 'npm')
    if (existsSync(link) && path.basename(realpathSync(link)) === 'npm-cli.js') return realpathSync(link)
    const library = path.join(folder, '..', 'lib', 'node_modules', 'npm', 'bin', 'npm-cli.js')
    if (existsSync(link) && existsSync(library)) return library
  }
  throw new Error('no npm on PATH. Install Node with npm, then run this again.')
}

/**
 * The environment for a command under `node`: that Node first on PATH, our tools after it.
 * @param {string} node
 */
export function environmentFor(node) {
  const tools = path.join(root, 'node_modules', '.bin')
  const npm = process.env.npm_execpath ?? npmCli()
  return {
    ...process.env,
    PATH: [path.dirname(node), tools, process.env.PATH ?? ''].join(path.delimiter),
    NODE: node,
    npm_node_execpath: node,
    npm_execpath: npm,
  }
}

/** npm exports its own settings to scripts; a nested npm in another folder must not take them for its own. */
export function cleanNpmEnvironment() {
  const env = { ...process.env }
  for (const name of [
    'npm_config_local_prefix',
    'npm_config_prefix',
    'npm_config_workspace',
    'npm_config_workspaces',
    'npm_command',
    'INIT_CWD',
  ]) {
    delete env[name]
  }
  return env
}
