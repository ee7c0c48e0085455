#!/usr/bin/env node
// The `millrace` command. Plain JavaScript that runs on Node 18, so that an old Node gets an answer, not a syntax error.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const here = fileURLToPath(import.meta.url)
const withNodeFile = path.join(path.dirname(here), '../../../scripts/with-node.mjs')
const isCheckout = existsSync(path.join(path.dirname(here), '../src')) && existsSync(withNodeFile)
const SOURCE_CONDITION = '--conditions=millrace-source'

if (isCheckout && !(isSupported(process.versions.node) && readsSources())) {
  const { withNode } = await import(pathToFileURL(withNodeFile).href)
  await withNode(['node', SOURCE_CONDITION, ...process.execArgv, here, ...process.argv.slice(2)])
} else if (!isSupported(process.versions.node)) {
  console.error(`millrace: needs Node 22.22 or later of 22, or 24.6 and later; this is ${process.versions.node}.`)
  process.exitCode = 1
} else {
  await runCli()
}

async function runCli() {
  const cli = findCli()
  if (cli === null) {
    console.error('millrace: the command line is a package of its own. Add it with: npm install @millrace/cli')
    process.exitCode = 1
    return
  }
  const { main } = await import(cli)
  process.exitCode = await main(process.argv.slice(2))
  // What a user's module left open (a client, a timer) must not keep a command alive that has ended.
  setInterval(() => {
    if (process.stdout.writableLength === 0 && process.stderr.writableLength === 0) process.exit()
  }, 1000).unref()
}

/** Beside this package, or else in the project of the person who runs it. */
function findCli() {
  for (const from of [here, path.join(process.cwd(), 'package.json')]) {
    try {
      return pathToFileURL(createRequire(from).resolve('@millrace/cli')).href
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'MODULE_NOT_FOUND')) throw error
    }
  }
  return null
}

/** @param {string} version */
function isSupported(version) {
  const [major, minor] = version.split('.').map(Number)
  return (major === 22 && minor >= 22) || (major === 24 && minor >= 6) || major > 24
}

function readsSources() {
  return process.execArgv.includes(SOURCE_CONDITION) || (process.env.NODE_OPTIONS ?? '').includes(SOURCE_CONDITION)
}
