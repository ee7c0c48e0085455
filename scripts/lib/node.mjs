// Finds or fetches a Node that satisfies `engines`. Runs on Node 18.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { withLock } from './lock.mjs'
import { npmCli, runNpm } from './npm.mjs'
import { root, toolFolder } from './paths.mjs'

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
  const why = `Node ${process.versions.node} is too old (needs ${SUPPORTED})`
  return await nodeOfMajor(FETCHED_MAJOR, why, ' Or put a supported Node first on PATH.')
}

/**
 * The newest Node of a major version, fetched once into .node/.
 * @param {number} major
 * @param {string} why it is needed
 * @param {string} otherwise what else would do, for when it cannot be fetched
 * @returns {Promise<string>} its path
 */
export async function nodeOfMajor(major, why, otherwise = '') {
  if (Number(process.versions.node.split('.')[0]) === major && isSupported(process.versions.node))
    return process.execPath
  const name = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`
  const folder = path.join(toolFolder, `${name}-${major}`)
  const binary = path.join(folder, 'node_modules', name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
  if (existsSync(binary)) return binary
  await withLock('node', () => {
    if (existsSync(binary)) return
    console.error(`millrace: ${why}; fetching ${name}@${major} from npm (once, about 200 MB)`)
    try {
      fetchNode(`${name}@${major}`, folder, binary)
    } catch (error) {
      const { message, code } = /** @type {NodeJS.ErrnoException} */ (error)
      throw Object.assign(new Error(`${message}${otherwise}`), { code })
    }
  })
  return binary
}

/**
 * Installs beside the final place and renames, so that an interrupted download is never taken for a Node.
 * @param {string} wanted @param {string} folder @param {string} binary
 */
function fetchNode(wanted, folder, binary) {
  const work = `${folder}.${process.pid}.tmp`
  try {
    rmSync(work, { recursive: true, force: true })
    mkdirSync(work, { recursive: true })
    writeFileSync(path.join(work, 'package.json'), '{ "private": true }\n')
    runNpm(process.execPath, ['install', wanted, '--ignore-scripts'], work)
    const probe = spawnSync(path.join(work, path.relative(folder, binary)), ['--version'], { encoding: 'utf8' })
    if (probe.status !== 0)
      throw new Error(`${wanted} does not start here (${probe.error?.message ?? probe.stderr.trim()}).`)
    rmSync(folder, { recursive: true, force: true })
    renameSync(work, folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
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
