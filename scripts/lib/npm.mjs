// Finds npm, runs it, and says in two lines what to do when it fails. Runs on Node 18.

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, realpathSync } from 'node:fs'
import path from 'node:path'

/** Comes with Node 18. Older ones do not read this lock file or know no workspaces. */
const OLDEST_MAJOR = 8

const UNREACHABLE = [
  'EAI_AGAIN',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTCACHED',
  'ENOTFOUND',
  'EPIPE',
  'ERR_SOCKET_TIMEOUT',
  'ETIMEDOUT',
  'FETCH_ERROR',
]
/** With npm's own two retries over 70 s, somebody without network waits that long for an answer. */
const RETRIES = [
  '--fetch-retries=3',
  '--fetch-retry-factor=2',
  '--fetch-retry-mintimeout=1000',
  '--fetch-retry-maxtimeout=8000',
]
const NOT_THERE = ['E404', 'ETARGET']
const NOT_WRITABLE = ['EACCES', 'EPERM', 'EROFS']

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
 * Waits for npm to end; what it prints is shown only when the cause of a failure is not one we can name.
 * @param {string} node the Node that runs it
 * @param {string[]} args @param {string} cwd
 * @throws Error with cause and remedy
 */
export function runNpm(node, args, cwd) {
  const cli = npmCli()
  requireRecent(cli)
  const npm = spawnSync(node, [cli, ...args, ...RETRIES, '--loglevel=error', '--no-audit', '--no-fund'], {
    cwd,
    encoding: 'utf8',
    // Only its messages. A child that floods stderr must not fail for that.
    stdio: ['ignore', 'ignore', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
    env: { ...cleanNpmEnvironment(), PATH: path.dirname(node) + path.delimiter + (process.env.PATH ?? '') },
  })
  if (npm.status === 0) return
  throw new Error(explain(args[0], npm.stderr ?? '', npm.error?.message ?? `exit code ${npm.status ?? npm.signal}`))
}

/** @param {string} cli */
function requireRecent(cli) {
  const manifest = path.join(path.dirname(cli), '..', 'package.json')
  if (!existsSync(manifest)) return
  const { version } = JSON.parse(readFileSync(manifest, 'utf8'))
  if (Number(version.split('.')[0]) >= OLDEST_MAJOR) return
  throw new Error(
    `npm ${version} is too old to install this project (needs ${OLDEST_MAJOR} or later). ` +
      'Update it with "npm install --global npm", or install a newer Node.',
  )
}

/** @param {string | undefined} command @param {string} stderr @param {string} end */
function explain(command, stderr, end) {
  const codes = [...stderr.matchAll(/npm (?:error|ERR!) (?:code|errno) (\w+)/g)].map((match) => match[1])
  const code = codes.find((one) => !/^\d+$/.test(one))
  const file = /npm (?:error|ERR!) path (.+)/.exec(stderr)?.[1]
  const cause = code === undefined ? null : causeOf(code, file)
  return `npm ${command} failed (${code ?? end})${cause === null ? `. It says:\n${stderr.trim()}` : `: ${cause}`}`
}

/**
 * What an error code of npm or of the file system means to somebody who only wanted to start, and what to do.
 * @param {string} code @param {string} [file]
 * @returns {string | null} null when we know no more than npm
 */
export function causeOf(code, file) {
  if (UNREACHABLE.includes(code) || /CERT/.test(code))
    return (
      'the npm registry cannot be reached. It is needed for the first installation only: check the network, ' +
      '"npm config get registry" and "npm config get proxy", then run this again.'
    )
  if (code === 'ENOSPC')
    return (
      "the disk is full. The installation takes about 500 MB here and 200 MB in npm's cache " +
      '("npm config get cache"). Make room, then run this again.'
    )
  if (NOT_WRITABLE.includes(code))
    return `${file ?? 'a folder'} cannot be written. Give it to the user who runs this, then run it again.`
  if (NOT_THERE.includes(code))
    return 'the registry ("npm config get registry") does not carry a package that is needed. Use one that mirrors all of npm.'
  return null
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
