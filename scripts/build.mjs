// Builds every package to its dist/ with tsc, in the order of their dependencies.

import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import path from 'node:path'
import { workspacePackages } from './lib/packages.mjs'
import { root } from './lib/paths.mjs'

const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc')

for (const { name, folder } of workspacePackages()) {
  const started = performance.now()
  rmSync(path.join(folder, 'dist'), { recursive: true, force: true })
  const { status } = spawnSync(process.execPath, [tsc, '-p', path.join(folder, 'tsconfig.build.json')], {
    stdio: 'inherit',
  })
  if (status !== 0) {
    console.error(`build: ${name} does not compile`)
    process.exit(1)
  }
  console.log(`built ${name} in ${Math.round(performance.now() - started)} ms`)
}
