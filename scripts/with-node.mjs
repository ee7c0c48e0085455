// Runs a command with a Node this project supports and with its dependencies installed:
//
//   node scripts/with-node.mjs [--node MAJOR] CMD [ARG...]
//
// Runs on Node 18. When the Node at hand is too old, a newer one comes from the npm registry into .node/ (ignored).
// --node asks for the newest of one major version instead. `node` and `npm` as CMD mean that Node, and the npm of the machine run by it.

import { pathToFileURL } from 'node:url'
import { ensureDependencies } from './lib/dependencies.mjs'
import { ensureNode, environmentFor, nodeOfMajor } from './lib/node.mjs'
import { causeOf, npmCli } from './lib/npm.mjs'
import { passThrough } from './lib/pass-through.mjs'

/**
 * Never returns normally: this process ends the way the command ended.
 * @param {string[]} command
 * @param {number} [major] the newest Node of this major version
 */
export async function withNode(command, major) {
  let node
  try {
    node = major === undefined ? await ensureNode() : await nodeOfMajor(major, `Node ${major} is asked for`)
    // `npm ...` is how dependencies are changed, so it must not be preceded by an installation.
    if (command[0] !== 'npm') await ensureDependencies(node)
  } catch (error) {
    const { code, path: file, message = error } = /** @type {NodeJS.ErrnoException} */ (error)
    console.error(`millrace: ${message}`)
    const cause = code === undefined ? null : causeOf(code, file)
    if (cause !== null) console.error(`millrace: ${cause}`)
    process.exit(1)
  }
  const [name, ...args] = command
  const env = environmentFor(node)
  if (name === 'node') await passThrough(node, args, env)
  else if (name === 'npm') await passThrough(node, [npmCli(), ...args], env)
  else await passThrough(name, args, env)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const args = process.argv.slice(2)
  const major = args[0] === '--node' ? Number(args.splice(0, 2)[1]) : undefined
  if (args.length === 0 || Number.isNaN(major)) {
    console.error('usage: node scripts/with-node.mjs [--node MAJOR] CMD [ARG...]')
    process.exit(2)
  }
  await withNode(args, major)
}
