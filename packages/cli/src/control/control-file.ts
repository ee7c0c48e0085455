/**
 * How commands find a running flow: a file in its state folder names the process and where it listens. The file may be
 * left by a process that died; whoever reads it tries to connect.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

export interface ControlFile {
  readonly flow: string
  readonly pid: number
  /** A Unix socket, or a named pipe on Windows. */
  readonly endpoint: string
  readonly startedAt: number
  /** Base address of /metrics, null when it is off. */
  readonly http: string | null
}

const NAME = 'control.json'
/** Paths of Unix sockets end here, also where the file system would take more. */
const SOCKET_PATH_MAX = 100

/** Where a process that runs on this folder listens. Long paths use a private folder of the system's temporary one. */
export function newEndpoint(folder: string): string {
  if (process.platform === 'win32') return `\\\\.\\pipe\\millrace-${process.pid}-${Date.now()}`
  const beside = path.join(folder, 'control.sock')
  if (Buffer.byteLength(beside) <= SOCKET_PATH_MAX) return beside
  return path.join(mkdtempSync(path.join(tmpdir(), 'millrace-')), 'control.sock')
}

export function writeControlFile(folder: string, control: ControlFile): void {
  mkdirSync(folder, { recursive: true })
  const file = path.join(folder, NAME)
  writeFileSync(`${file}.tmp`, `${JSON.stringify(control)}\n`, { mode: 0o600 })
  renameSync(`${file}.tmp`, file)
}

export function removeControlFile(folder: string, endpoint: string): void {
  rmSync(path.join(folder, NAME), { force: true })
  if (process.platform === 'win32') return
  rmSync(endpoint, { force: true })
  if (path.dirname(endpoint) !== path.resolve(folder)) rmSync(path.dirname(endpoint), { recursive: true, force: true })
}

export function readControlFile(folder: string): ControlFile | undefined {
  try {
    return JSON.parse(readFileSync(path.join(folder, NAME), 'utf8')) as ControlFile
  } catch {
    return undefined
  }
}

/** Default folder of a flow's state. */
export function stateFolder(flow: string, cwd: string): string {
  return path.join(cwd, '.millrace', flow)
}

/** The state folder that FLOW or DIR means; undefined when there is none. */
export function findFolder(flowOrFolder: string, cwd: string): string | undefined {
  return [stateFolder(flowOrFolder, cwd), path.resolve(cwd, flowOrFolder)].find((folder) => isStateFolder(folder))
}

/** State folders below the current one: of `run`, and of `dev`. */
export function stateFolders(cwd: string): string[] {
  const root = path.join(cwd, '.millrace')
  return [root, path.join(root, 'dev')].flatMap((parent) =>
    list(parent)
      .map((name) => path.join(parent, name))
      .filter(isStateFolder),
  )
}

/** The newest manifest, which is the last commit; undefined when nothing was ever committed. */
export function lastCommit(folder: string): { readonly file: string; readonly at: number } | undefined {
  const newest = list(folder)
    .filter((name) => /^MANIFEST-\d+$/.test(name))
    .sort((a, b) => Number(a.slice(9)) - Number(b.slice(9)))
    .at(-1)
  if (newest === undefined) return undefined
  const file = path.join(folder, newest)
  return { file, at: statSync(file).mtimeMs }
}

function isStateFolder(folder: string): boolean {
  return list(folder).some((name) => name === NAME || /^(LOCK|MANIFEST)-\d+$/.test(name))
}

function list(folder: string): string[] {
  if (!existsSync(folder)) return []
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
