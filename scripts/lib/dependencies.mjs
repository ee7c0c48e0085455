// Installs the project's dependencies when node_modules does not match package-lock.json.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { withLock } from './lock.mjs'
import { cleanNpmEnvironment, npmCli, root } from './node.mjs'

/** @param {string} node the Node that runs npm */
export async function ensureDependencies(node) {
  if (isInstalled()) return
  await withLock('npm', () => {
    if (isInstalled()) return
    console.error('millrace: installing dependencies (npm ci)')
    const env = { ...cleanNpmEnvironment(), PATH: path.dirname(node) + path.delimiter + (process.env.PATH ?? '') }
    const npm = spawnSync(node, [npmCli(), 'ci', '--loglevel=error'], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
      env,
    })
    if (npm.status !== 0)
      throw new Error(
        'npm ci failed (its messages are above). An npm registry must be reachable for the first installation.',
      )
  })
}

/**
 * Compares with the copy of the lock file that npm leaves in node_modules as the last act of an installation, so an
 * interrupted one counts as none, and `npm install x` by hand needs no second one.
 */
function isInstalled() {
  const installedFile = path.join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(installedFile)) return false
  const installed = packages(installedFile)
  const wanted = packages(path.join(root, 'package-lock.json'))
  return Object.entries(wanted).every(([where, { version, integrity, optional, link }]) => {
    const found = installed[where]
    if (where === '' || link || !where.includes('node_modules/')) return true
    if (found === undefined) return optional === true
    return found.version === version && found.integrity === integrity
  })
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, integrity?: string, optional?: boolean, link?: boolean }>}
 */
function packages(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages
}
