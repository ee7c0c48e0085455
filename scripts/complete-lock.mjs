// Adds to package-lock.json the packages made for other platforms that npm left out of it:
//
//   node scripts/complete-lock.mjs
//
// npm drops an optional dependency from the lock file when the registry at hand does not carry it (a mirror of one
// platform), and `npm ci` then refuses the file everywhere. Such a package is named by its parent with an exact
// version, and its platform is in its name, so its entry can be written without asking; only the checksum is missing,
// which npm accepts. Run it after every `npm install` behind such a mirror; a complete file is left as it is.

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { root } from './lib/paths.mjs'

const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32']
const PROCESSORS = ['arm', 'arm64', 'ia32', 'loong64', 'ppc64', 'riscv64', 's390x', 'wasm32', 'x64']
const EXACT = /^\d+\.\d+\.\d+(-[\w.]+)?$/

const file = path.join(root, 'package-lock.json')
const lock = JSON.parse(readFileSync(file, 'utf8'))
const added = []

for (const parent of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const where = `node_modules/${name}`
    if (lock.packages[where] !== undefined || !EXACT.test(version)) continue
    const platform = platformOf(name)
    if (platform === null) throw new Error(`package-lock.json: cannot tell the platform of ${name} from its name`)
    lock.packages[where] = { version, ...platform, ...(parent.dev ? { dev: true } : {}), optional: true }
    added.push(`${name}@${version}`)
  }
}

if (added.length > 0) {
  // npm keeps the entries in this order, so its next write changes nothing.
  const entries = Object.entries(lock.packages).sort(([a], [b]) => a.localeCompare(b, 'en'))
  lock.packages = Object.fromEntries(entries)
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
}
console.log(
  added.length === 0 ? 'package-lock.json is complete' : `added to package-lock.json:\n  ${added.join('\n  ')}`,
)

/**
 * `@scope/binding-linux-arm64-gnu` -> { os: ['linux'], cpu: ['arm64'], libc: ['glibc'] }
 * @param {string} name
 */
function platformOf(name) {
  const words = name.split(/[-/]/)
  const os = SYSTEMS.find((system) => words.includes(system))
  const cpu = PROCESSORS.find((processor) => words.includes(processor))
  if (cpu === undefined || (os === undefined && cpu !== 'wasm32')) return null
  const libc = words.some((word) => word.startsWith('musl')) ? ['musl'] : words.includes('gnu') ? ['glibc'] : undefined
  return { cpu: [cpu], ...(libc ? { libc } : {}), ...(os ? { os: [os] } : {}) }
}
