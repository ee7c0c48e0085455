// Runs a command with a Node this project supports and with its dependencies installed:
//
//   node scripts/with-node.mjs CMD [ARG...]
//
// Runs on Node 18. When the Node at hand is too old, a newer one comes from the npm registry into .node/ (ignored).
// `node` and `npm` as CMD mean that Node, and the npm of the machine run by it.

import { pathToFileURL } from 'node:url'
import { ensureDependencies } from './lib/dependencies.mjs'
import { ensureNode, environmentFor, npmCli } from './lib/node.mjs'
import { passThrough } from './lib/pass-through.mjs'

/**
 * Never returns normally: this process ends the way the command ended.
 * @param {string[]} command
 */
export async function withNode(command) {
  let node
  try {
    node = await ensureNode()
    // `npm ...` is how dependencies are changed, so it must not be preceded by an installation.
    if (command[0] !== 'npm') await ensureDependencies(node)
  } catch (error) {
    console.error(`millrace: ${error instanceof Error ? error.message : error}`)
    process.exit(1)
  }
  const [name, ...args] = command
  const env = environmentFor(node)
  if (name === 'node') await passThrough(node, args, env)
  else if (name === 'npm') await passThrough(node, [npmCli(), ...args], env)
  else await passThrough(name, args, env)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  if (process.argv.length < 3) {
    console.error('usage: node scripts/with-node.mjs CMD [ARG...]')
    process.exit(2)
  }
  await withNode(process.argv.slice(2))
}
