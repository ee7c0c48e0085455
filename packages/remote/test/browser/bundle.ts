/** Bundles the browser's client the way users' tools do; for tests. */
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

/** The code of one ES module, and the modules of Node it would still need. */
export async function bundleForBrowsers(): Promise<{ readonly code: string; readonly builtins: readonly string[] }> {
  const result = await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { conditions: ['millrace-source', 'browser', 'import', 'module', 'default'] },
    build: {
      write: false,
      minify: true,
      target: 'es2024',
      lib: { entry: fileURLToPath(new URL('../../src/browser/index.ts', import.meta.url)), formats: ['es'] },
    },
  })
  const [{ output }] = result as unknown as [{ output: { type: string; code: string; imports?: string[] }[] }]
  const chunks = output.filter(({ type }) => type === 'chunk')
  const code = chunks.map((chunk) => chunk.code).join('\n')
  const builtins = [...code.matchAll(/["'`](node:[a-z_/]+|__vite-browser-external[^"'`]*)["'`]/g)].map(
    ([, name]) => name,
  )
  return { code, builtins }
}
