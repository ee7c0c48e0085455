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
  const npm = spawnSync(node, [cli, ...args, '--loglevel=error', '--no-audit', '--no-fund'], {
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
  const what = `npm ${command} failed (${code ?? end})`
  if (code === undefined) return `${what}. It says:\n${stderr.trim()}`
  if (UNREACHABLE.includes(code) || /certificate|CERT/i.test(code))
    return (
      `${what}: the npm registry cannot be reached. It is needed for the first installation only: check the network, ` +
      'and "npm config get registry", "npm config get proxy"; then run this again.'
    )
  if (code === 'ENOSPC')
    return `${what}: the disk is full. The installation takes about 500 MB here and 200 MB in npm's cache ("npm config get cache"). Make room and run this again.`
  if (NOT_WRITABLE.includes(code)) {
    const file = /npm (?:error|ERR!) path (.+)/.exec(stderr)?.[1]
    return `${what}: ${file ?? 'a folder'} cannot be written. Give it to the user who runs this, then run it again.`
  }
  return `${what}. It says:\n${stderr.trim()}`
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
