import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { packageFolders, root } from './source-files.ts'

interface Manifest {
  readonly name: string
  readonly version: string
  readonly license: string
  readonly engines: { readonly node: string }
}

const project = json<Manifest>('package.json')
const manifests = packageFolders().map((folder) => json<Manifest>(`packages/${folder}/package.json`))

test('all packages have the version, licence and Node range of the project', () => {
  const { version, license, engines } = project
  for (const manifest of manifests) expect(manifest, manifest.name).toMatchObject({ version, license, engines })
})

test('the lock file names no download address', () => {
  const { packages } = json<{ packages: Record<string, { resolved?: string }> }>('package-lock.json')
  const addresses = Object.values(packages).flatMap(({ resolved = '' }) => (resolved.includes('://') ? [resolved] : []))
  expect(addresses).toEqual([])
})

test('the lock file holds the packages of every platform; if not: node scripts/complete-lock.mjs', () => {
  const { packages } = json<{ packages: Record<string, { optionalDependencies?: Record<string, string> }> }>(
    'package-lock.json',
  )
  const missing = Object.values(packages)
    .flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
    .filter((name) => packages[`node_modules/${name}`] === undefined)
  expect(missing).toEqual([])
})

function json<T>(file: string): T {
  return JSON.parse(readFileSync(path.join(root, file), 'utf8'))
}
