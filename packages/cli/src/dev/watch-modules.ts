/** Watches a module and every file it imports by a relative path. */
import { type FSWatcher, readFileSync, watch } from 'node:fs'
import path from 'node:path'

export interface ModuleWatch {
  /** Reads the imports again: they may have changed. */
  refresh(): void
  close(): void
}

/** Editors write a file in several steps; they count as one save. */
const SETTLE_MS = 80

export function watchModules(entry: string, onChange: () => void): ModuleWatch {
  // Folders are watched, not files: editors replace files, and a watch on the old one would hear nothing more.
  const watchers = new Map<string, FSWatcher>()
  let files = new Map<string, string>()
  let timer: NodeJS.Timeout | undefined
  const check = (): void => {
    const now = modulesOf(entry)
    const isChanged = now.size !== files.size || [...now].some(([file, text]) => files.get(file) !== text)
    // A file that is gone for a moment is being replaced.
    if (!isChanged || now.size === 0) return
    files = now
    onChange()
  }
  const refresh = (): void => {
    files = modulesOf(entry)
    const folders = new Set([...files.keys(), entry].map((file) => path.dirname(file)))
    for (const folder of folders) {
      if (watchers.has(folder)) continue
      const watcher = watch(folder, () => {
        clearTimeout(timer)
        timer = setTimeout(check, SETTLE_MS)
      })
      watchers.set(folder, watcher)
    }
  }
  refresh()
  return {
    refresh,
    close: () => {
      clearTimeout(timer)
      for (const watcher of watchers.values()) watcher.close()
    },
  }
}

const IMPORTS = /(?:\bfrom|\bimport)\s*\(?\s*['"](\.{1,2}\/[^'"]+)['"]/g

/** Path -> text, of the file and what it imports. Names in comments cost nothing but a look. */
export function modulesOf(entry: string): Map<string, string> {
  const found = new Map<string, string>()
  const waiting = [entry]
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (found.has(file)) continue
    let text: string
    try {
      text = readFileSync(file, 'utf8')
    } catch {
      continue
    }
    found.set(file, text)
    for (const [, specifier] of text.matchAll(IMPORTS)) waiting.push(path.resolve(path.dirname(file), specifier))
  }
  return found
}
