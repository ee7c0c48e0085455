import { existsSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { ambient, coreLayers, edgeFiles, forTestsOnly, packageLayers, withoutDependencies } from './layers.ts'
import { type Import, packageFolders, readSource, root, type SourceFile, sourcePaths } from './source-files.ts'

const folders = packageFolders()
const sources = new Map(
  folders.map((folder) => {
    const files = sourcePaths(`packages/${folder}/src`).filter((file) => !forTestsOnly.includes(file))
    return [folder, files.map(readSource)]
  }),
)
const all = [...sources.values()].flat()
const ownNames = new Map(folders.map((folder) => [folder, manifest(folder).name]))

describe('packages', () => {
  test('every package has a line in the table of layers', () => {
    expect(folders.filter((folder) => packageLayers[folder] === undefined)).toEqual([])
  })

  test('a package imports only packages below it', () => {
    const names = [...ownNames.values()]
    const complaints = eachImport(({ file, folder }, { specifier }) => {
      if (!names.includes(packageName(specifier))) return null
      if (specifier === ownNames.get(folder)) return rule(file, specifier, 'a package imports its own files by path')
      const allowed = packageLayers[folder] ?? []
      const fits = allowed.some((entry) => entry === specifier || entry === packageName(specifier))
      return fits ? null : rule(file, specifier, `${folder} may import ${allowed.join(', ') || 'no other package'}`)
    })
    expect(complaints).toEqual([])
  })

  test('a package imports only what its package.json declares', () => {
    const complaints = eachImport(({ file, folder }, { specifier, isTypeOnly }) => {
      if (isRelative(specifier) || isBuiltin(specifier)) return null
      if (withoutDependencies.includes(folder)) {
        return rule(file, specifier, `${folder} has no dependencies, only node: modules`)
      }
      const { dependencies = {}, peerDependencies = {}, devDependencies = {} } = manifest(folder)
      const declared = { ...dependencies, ...peerDependencies, ...(isTypeOnly ? devDependencies : {}) }
      return packageName(specifier) in declared
        ? null
        : rule(file, specifier, `declare it under "dependencies" of packages/${folder}/package.json`)
    })
    expect(complaints).toEqual([])
  })

  test('a package without dependencies declares none', () => {
    for (const folder of withoutDependencies) expect(manifest(folder).dependencies ?? {}).toEqual({})
  })

  test('what is for tests only is imported by no source and left out by the build', () => {
    const complaints = eachImport(({ file }, { specifier }) =>
      isRelative(specifier) && forTestsOnly.includes(resolve(file, specifier))
        ? rule(file, specifier, 'it is for tests only')
        : null,
    )
    expect(complaints).toEqual([])
    for (const file of forTestsOnly) {
      const [, folder = '', ...inside] = file.split('/')
      const build = readFileSync(path.join(root, 'packages', folder, 'tsconfig.build.json'), 'utf8')
      expect(build).toContain(`"${inside.join('/')}"`)
    }
  })

  test('modules of Node are imported with the node: prefix', () => {
    const complaints = eachImport(({ file }, { specifier }) =>
      isBuiltin(specifier) && !specifier.startsWith('node:') ? rule(file, specifier, `write node:${specifier}`) : null,
    )
    expect(complaints).toEqual([])
  })

  test('a relative import names an existing .ts file of the same package', () => {
    const complaints = eachImport(({ file, folder }, { specifier }) => {
      if (!isRelative(specifier)) return null
      const target = resolve(file, specifier)
      if (!target.startsWith(`packages/${folder}/src/`)) return rule(file, specifier, 'stay inside the package')
      if (/\.(ts|tsx|json)$/.test(target) && existsSync(path.join(root, target))) return null
      return rule(file, specifier, 'the file does not exist; imports are written with .ts')
    })
    expect(complaints).toEqual([])
  })
})

describe('inside core', () => {
  test('every file belongs to an area of the table of layers', () => {
    expect(coreFiles().filter(({ file }) => areaOf(file) === null)).toEqual([])
  })

  test('an area imports only the areas the table allows', () => {
    const complaints = coreFiles().flatMap(({ file, imports }) =>
      imports.flatMap(({ specifier, line }) => {
        const from = areaOf(file)
        const to = isRelative(specifier) ? areaOf(resolve(file, specifier)) : null
        if (from === null || to === null || from === to || coreLayers[from]?.includes(to)) return []
        return [rule(`${file}:${line}`, specifier, `${from} may import ${coreLayers[from]?.join(', ') || 'nothing'}`)]
      }),
    )
    expect(complaints).toEqual([])
  })

  test('time, randomness and timers come in through ports', () => {
    const complaints = coreFiles()
      .filter(({ file }) => !edgeFiles.some((edge) => file === `packages/core/src/${edge}.ts`))
      .flatMap(({ file, globals }) =>
        globals
          .filter(({ name }) => ambient.includes(name))
          .map(({ name, line }) => rule(`${file}:${line}`, name, `only ${edgeFiles.join(', ')} may; use a port`)),
      )
    expect(complaints).toEqual([])
  })
})

test('no file imports itself through others (imports of types do not count)', () => {
  const edges = new Map(
    all.map(({ file, imports }) => [
      file,
      imports.filter((one) => !one.isTypeOnly && isRelative(one.specifier)).map((one) => resolve(file, one.specifier)),
    ]),
  )
  expect(cycles(edges).map((cycle) => cycle.join(' -> '))).toEqual([])
})

function eachImport(check: (from: { file: string; folder: string }, found: Import) => string | null): string[] {
  return [...sources].flatMap(([folder, files]) =>
    files.flatMap(({ file, imports }) =>
      imports.flatMap((found) => check({ file: `${file}:${found.line}`, folder }, found) ?? []),
    ),
  )
}

function rule(file: string, what: string, text: string): string {
  return `${file} uses "${what}". Rule: ${text} (tests/repo/layers.ts)`
}

function coreFiles(): readonly SourceFile[] {
  return sources.get('core') ?? []
}

function areaOf(file: string): string | null {
  const inside = file.replace('packages/core/src/', '').replace(/\.ts$/, '')
  const fitting = Object.keys(coreLayers).filter((area) => inside === area || inside.startsWith(`${area}/`))
  return fitting.sort((a, b) => b.length - a.length)[0] ?? null
}

function resolve(file: string, specifier: string): string {
  return path.posix.join(path.posix.dirname(file.replace(/:\d+$/, '')), specifier)
}

function isRelative(specifier: string): boolean {
  return specifier.startsWith('./') || specifier.startsWith('../')
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

interface Manifest {
  readonly name: string
  readonly dependencies?: Record<string, string>
  readonly devDependencies?: Record<string, string>
  readonly peerDependencies?: Record<string, string>
}

function manifest(folder: string): Manifest {
  return JSON.parse(readFileSync(path.join(root, 'packages', folder, 'package.json'), 'utf8'))
}

/** Depth-first search; reports each cycle once, from the file where it closes. O(files + imports). */
function cycles(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = []
  const done = new Set<string>()
  const trail: string[] = []
  const visit = (file: string): void => {
    const at = trail.indexOf(file)
    if (at >= 0) found.push([...trail.slice(at), file])
    if (at >= 0 || done.has(file)) return
    trail.push(file)
    for (const next of edges.get(file) ?? []) visit(next)
    trail.pop()
    done.add(file)
  }
  for (const file of edges.keys()) visit(file)
  return found
}
