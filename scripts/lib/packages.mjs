// The packages of packages/, each after those it depends on.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { root } from './paths.mjs'

/**
 * @typedef {{ name: string, folder: string, manifest: Manifest }} Package
 * @typedef {{ name: string, version: string, private?: boolean, exports: Record<string, Record<string, string>>,
 *   dependencies?: Record<string, string> }} Manifest
 */

/** @returns {Package[]} */
export function workspacePackages() {
  const parent = path.join(root, 'packages')
  const all = readdirSync(parent)
    .map((name) => path.join(parent, name))
    // A folder counts once it has sources; a package.json may be there before them.
    .filter((folder) => existsSync(path.join(folder, 'package.json')) && existsSync(path.join(folder, 'src')))
    .map((folder) => {
      const manifest = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
      return { name: manifest.name, folder, manifest }
    })
  /** @type {Package[]} */
  const sorted = []
  /** @param {Package} one */
  const add = (one) => {
    if (sorted.includes(one)) return
    for (const name of Object.keys(one.manifest.dependencies ?? {})) {
      const needed = all.find((other) => other.name === name)
      if (needed !== undefined) add(needed)
    }
    sorted.push(one)
  }
  all.forEach(add)
  return sorted
}
