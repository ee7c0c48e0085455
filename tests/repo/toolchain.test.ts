import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { withLock } from '../../scripts/lib/lock.mjs'
import { isSupported } from '../../scripts/lib/node.mjs'
import { toolFolder } from '../../scripts/lib/paths.mjs'
import { root } from './source-files.ts'

const withNode = path.join(root, 'scripts/with-node.mjs')

test('22.22 and later of 22 and 24.6 and later are supported, as package.json says', () => {
  const versions = ['18.20.0', '20.20.2', '22.21.9', '22.22.0', '23.9.0', '24.5.0', '24.6.0', '26.0.0']
  expect(versions.filter(isSupported)).toEqual(['22.22.0', '24.6.0', '26.0.0'])
})

describe('a command run by with-node', () => {
  test('passes its exit code on', () => {
    expect(spawnSync(process.execPath, [withNode, 'node', '-e', 'process.exit(7)']).status).toBe(7)
  })

  test('gets the signals sent to its parent, which ends the same way', async () => {
    const script = 'console.log("ready"); setTimeout(() => {}, 60_000)'
    const child = spawn(process.execPath, [withNode, 'node', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    child.stdout.once('data', () => child.kill('SIGTERM'))
    const signal = await new Promise((resolve) => child.once('exit', (_code, name) => resolve(name)))
    expect(signal).toBe('SIGTERM')
  })
})

test('the lock of a dead process is taken over, by one at a time', async () => {
  const name = `test-${process.pid}`
  const file = path.join(toolFolder, `${name}.lock`)
  const dead = spawnSync(process.execPath, ['-e', '']).pid
  mkdirSync(toolFolder, { recursive: true })
  writeFileSync(file, `${dead}\n`)
  const order: string[] = []
  try {
    await Promise.all(['a', 'b'].map((who) => withLock(name, () => order.push(`${who} in`, `${who} out`))))
  } finally {
    rmSync(file, { force: true })
  }
  expect(order.map((step) => step.split(' ')[1])).toEqual(['in', 'out', 'in', 'out'])
})
