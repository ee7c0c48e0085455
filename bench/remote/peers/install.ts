/**
 * Brings the peers into a folder of the system's temporary one, by pip and npm as they are set up on this machine. They stay
 * there for the next run. The repository does not carry them: only these measurements need them.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Installed {
  readonly folder: string
  readonly version: string
}

/** Why a peer is not measured. */
export interface NotInstalled {
  readonly missing: string
}

const FOLDER = join(tmpdir(), 'millrace-bench-peers')
const INSTALL_MS = 300_000

export const GRPC_PACKAGE = '@grpc/grpc-js'
export const PROTO_PACKAGE = '@grpc/proto-loader'
const GRPC = [`${GRPC_PACKAGE}@1.14.7`, `${PROTO_PACKAGE}@0.8.1`]

export function installGrpc(): Installed | NotInstalled {
  const folder = join(FOLDER, 'grpc')
  mkdirSync(folder, { recursive: true })
  if (!existsSync(join(folder, 'node_modules', '@grpc', 'proto-loader'))) {
    writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
    const failure = run('npm', ['install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', ...GRPC])
    if (failure !== undefined) return { missing: failure }
  }
  return { folder, version: GRPC.join(', ') }
}

const EASYREMOTE = 'easyremote==2.0.2'

/** `folder` is the virtual environment. */
export function installEasyRemote(): Installed | NotInstalled {
  const folder = join(FOLDER, 'easyremote')
  const python = join(folder, 'bin', 'python')
  if (run(python, ['-c', 'import easyremote']) !== undefined) {
    const base = ['python3.11', 'python3'].find((name) => run(name, ['--version']) === undefined)
    if (base === undefined) return { missing: 'there is no Python 3' }
    const failure =
      run(base, ['-m', 'venv', folder]) ?? run(python, ['-m', 'pip', 'install', '-q', EASYREMOTE, 'numpy'])
    if (failure !== undefined) return { missing: failure }
  }
  return { folder, version: EASYREMOTE }
}

/** Undefined when it went well. */
function run(command: string, args: readonly string[]): string | undefined {
  const { status, error, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: INSTALL_MS })
  if (status === 0) return undefined
  const last = (stderr ?? '').trim().split('\n').at(-1)
  return `${command} ${args.slice(0, 3).join(' ')} failed: ${error?.message ?? last ?? `code ${status}`}`
}
