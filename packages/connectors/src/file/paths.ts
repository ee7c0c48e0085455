/** Which files a `path` option means: a path, a file: URL, a list of them, or a pattern with `*`, `?` and `**`. */
import { fileURLToPath } from 'node:url'
import { type Disk, OperationalError, UsageError } from 'millrace/connector'

/** A relative path is relative to the working directory of the process. */
export type FilePath = string | URL | readonly (string | URL)[]

/**
 * The option as texts, URLs resolved.
 * @throws UsageError `FILE_PATH` when it is empty, no path, or a URL that is not file:
 */
export function pathTexts(path: FilePath): readonly string[] {
  const list: readonly unknown[] = Array.isArray(path) ? path : [path]
  if (list.length === 0) throw pathError('is an empty list')
  return list.map((item) => {
    if (item instanceof URL) {
      if (item.protocol !== 'file:') throw pathError(`is ${item.href}, which is not a file: URL`)
      return slashes(fileURLToPath(item))
    }
    if (typeof item !== 'string' || item === '' || item.includes('\0')) throw pathError(`is ${JSON.stringify(item)}`)
    return slashes(item)
  })
}

/** The one file a sink writes to. @throws UsageError `FILE_PATH` for a list, a pattern, or a compressed file */
export function singlePath(path: FilePath): string {
  const texts = pathTexts(path)
  if (texts.length > 1) throw pathError('is a list; a sink writes one file')
  if (hasWildcard(texts[0])) throw pathError(`is the pattern "${texts[0]}"; a sink writes one file`)
  if (texts[0].endsWith('.gz')) throw pathError(`is "${texts[0]}"; compressed files can be read, not written`)
  return texts[0]
}

/**
 * The files, each once, those of a pattern in the order of their names. A name that exists is never taken for a
 * pattern. `*` and `?` stay within one folder and do not match a leading dot; `**` stands for any number of folders.
 * @throws OperationalError `FILE_MISSING` when a path or a pattern matches nothing and `mayBeMissing` does not allow it
 */
export async function expandPaths(path: FilePath, disk: Disk, mayBeMissing: boolean): Promise<string[]> {
  const files = new Set<string>()
  for (const text of pathTexts(path)) {
    const found = (await disk.exists(text)) ? [text] : hasWildcard(text) ? await matches(text, disk) : []
    if (found.length === 0) {
      if (!mayBeMissing || hasWildcard(text)) throw missingError(text)
      found.push(text)
    }
    for (const file of found) files.add(file)
  }
  return [...files]
}

export function missingError(path: string): OperationalError {
  const what = hasWildcard(path) ? `no file matches "${path}"` : `file "${path}" does not exist`
  return new OperationalError(
    'FILE_MISSING',
    `${what} (working directory: ${process.cwd()}), so there is nothing to read. Correct the path or make the file.`,
    { data: { path } },
  )
}

async function matches(pattern: string, disk: Disk): Promise<string[]> {
  const isAbsolute = pattern.startsWith('/')
  const found: string[] = []
  await walk(
    isAbsolute ? '/' : '',
    pattern.split('/').filter((part) => part !== ''),
    disk,
    found,
  )
  return found.sort()
}

async function walk(folder: string, segments: readonly string[], disk: Disk, found: string[]): Promise<void> {
  const [segment, ...rest] = segments
  if (segment !== '**' && !hasWildcard(segment)) {
    const path = folder + segment
    if (rest.length > 0) await walk(`${path}/`, rest, disk, found)
    else if (await disk.exists(path)) found.push(path)
    return
  }
  if (segment === '**' && rest.length > 0) await walk(folder, rest, disk, found)
  const match = segment === '**' ? /^[^.]/ : segmentPattern(segment)
  for (const name of await disk.list(folder === '' ? '.' : folder)) {
    if (!match.test(name)) continue
    const path = folder + name
    const isFolder = await hasEntries(path, disk)
    if (segment === '**') {
      if (isFolder) await walk(`${path}/`, segments, disk, found)
      else if (rest.length === 0) found.push(path)
    } else if (rest.length > 0) {
      if (isFolder) await walk(`${path}/`, rest, disk, found)
    } else if (!isFolder) {
      found.push(path)
    }
  }
}

/** The disk port does not tell files from folders: a folder worth walking is one that lists something. */
async function hasEntries(path: string, disk: Disk): Promise<boolean> {
  try {
    return (await disk.list(path)).length > 0
  } catch {
    return false
  }
}

function segmentPattern(segment: string): RegExp {
  const body = segment
    .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${segment.startsWith('.') ? '' : '(?!\\.)'}${body}$`, 's')
}

function hasWildcard(text: string): boolean {
  return text.includes('*') || text.includes('?')
}

function slashes(path: string): string {
  return process.platform === 'win32' ? path.replaceAll('\\', '/') : path
}

function pathError(what: string): UsageError {
  return new UsageError(
    'FILE_PATH',
    `path ${what}. Give a path, a file: URL, a pattern like 'logs/*.jsonl', or a list.`,
  )
}
