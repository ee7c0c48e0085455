/** Looks at the module that made a flow: only what a module exports can be found by a worker that imports it. */
import { readFile } from 'node:fs/promises'

/**
 * True unless the module's text has no export at all. A module in the middle of `await flow.run()` cannot be imported to
 * ask it; one that exports something else than the flow is told apart later, by the worker.
 */
export async function mayExport(url: string): Promise<boolean> {
  if (!url.startsWith('file:')) return false
  try {
    return /^\s*export\b/m.test(await readFile(new URL(url), 'utf8'))
  } catch {
    return false
  }
}
