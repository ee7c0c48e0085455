// Installs the project's dependencies when node_modules does not match package-lock.json. Runs on Node 18.

import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { withLock } from './lock.mjs'
import { causeOf, runNpm } from './npm.mjs'
import { root } from './paths.mjs'

const wantedFile = path.join(root, 'package-lock.json')
/** npm leaves it as the last act of an installation, so an interrupted one counts as none. */
const installedFile = path.join(root, 'node_modules', '.package-lock.json')
const stampFile = path.join(root, 'node_modules', '.millrace-installed')

/** @param {string} node the Node that runs npm */
export async function ensureDependencies(node) {
  if (isInstalled()) return
  await withLock('npm', () => {
    if (isInstalled()) return
    console.error('millrace: installing dependencies (npm ci)')
    runNpm(node, ['ci'], root)
    // With the last bytes of a disk gone, npm reports success.
    if (!existsSync(installedFile)) throw new Error(`npm ci left its work unfinished: ${causeOf('ENOSPC')}`)
    // npm leaves out what belongs to a workspace that is not in this checkout. Without the stamp every command would
    // install again, also beside commands that are running.
    writeFileSync(stampFile, stamp())
  })
}

function isInstalled() {
  if (!existsSync(installedFile)) return false
  return (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp()) || holdsAllWanted()
}

/** Names both lock files: `npm install x` by hand changes the second. */
function stamp() {
  return [wantedFile, installedFile]
    .map((file) => createHash('sha256').update(readFileSync(file)).digest('hex'))
    .join('\n')
}

/** After `npm install x` by hand, nothing needs installing either. */
function holdsAllWanted() {
  const installed = packages(installedFile)
  return Object.entries(packages(wantedFile)).every(([where, { version, integrity, optional, link }]) => {
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
