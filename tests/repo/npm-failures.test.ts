// What somebody reads whose first command cannot install: a copy of the scripts runs with an npm that fails.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { root } from './source-files.ts'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'millrace-npm-'))
  cpSync(path.join(root, 'scripts'), path.join(folder, 'scripts'), { recursive: true })
  writeFileSync(path.join(folder, 'package-lock.json'), '{ "packages": { "node_modules/x": { "version": "1.0.0" } } }')
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('an npm older than the lock file names its version', () => {
  expect(start({ version: '6.14.18', script: '' })).toBe(
    'npm 6.14.18 is too old to install this project (needs 8 or later). ' +
      'Update it with "npm install --global npm", or install a newer Node.',
  )
})

test.each([
  ['npm error code ENOTFOUND\nnpm error errno ENOTFOUND', 'npm ci failed (ENOTFOUND): the npm registry cannot be'],
  ['npm ERR! code ECONNREFUSED', 'npm ci failed (ECONNREFUSED): the npm registry cannot be reached'],
  ['npm error code CERT_HAS_EXPIRED', 'npm ci failed (CERT_HAS_EXPIRED): the npm registry cannot be reached'],
  ['npm error code ENOSPC\nnpm error errno -28', 'npm ci failed (ENOSPC): the disk is full'],
  ['npm error code EACCES\nnpm error path /opt/x', 'npm ci failed (EACCES): /opt/x cannot be written'],
  ['npm error code ETARGET', 'npm ci failed (ETARGET): the registry ("npm config get registry") does not carry'],
  ['npm error code EUSAGE\nnpm error odd', 'npm ci failed (EUSAGE). It says:\nnpm error code EUSAGE\nnpm error odd'],
  ['Segmentation fault', 'npm ci failed (exit code 1). It says:\nSegmentation fault'],
])('npm that says %j gives cause and remedy', (says, begin) => {
  const script = `console.error(${JSON.stringify(says)}); process.exit(1)`
  expect(start({ version: '11.0.0', script }).slice(0, begin.length)).toBe(begin)
})

test('an installation that npm left unfinished while it reported success is a failure', () => {
  expect(start({ version: '11.0.0', script: '' })).toContain('left its work unfinished: the disk is full')
})

/** The message, without the lines every start has. */
function start({ version, script }: { version: string; script: string }): string {
  const npm = path.join(folder, 'npm', 'bin', 'npm-cli.js')
  mkdirSync(path.dirname(npm), { recursive: true })
  writeFileSync(path.join(folder, 'npm', 'package.json'), JSON.stringify({ version }))
  writeFileSync(npm, script)
  const { status, stderr } = spawnSync(process.execPath, ['scripts/with-node.mjs', 'node', '-v'], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, npm_execpath: npm },
  })
  expect(status).toBe(1)
  const [first, ...rest] = stderr
    .trim()
    .split(/^millrace: /m)
    .slice(1)
  expect(first).toBe('installing dependencies (npm ci)\n')
  expect(rest).toHaveLength(1)
  return rest[0]
}
