/** What is measured: ours, and the peers that can be had on this machine. */
import { spawnSync } from 'node:child_process'
import { type Installed, installEasyRemote, installGrpc, type NotInstalled } from './peers/install.ts'

export interface System {
  readonly name: string
  /** Of run.ts. */
  readonly args: Readonly<Record<string, string>>
  readonly isPeer: boolean
}

export interface Systems {
  readonly ours: System
  /** Ours as `millrace node FILE` runs it: functions outside the thread of the link. */
  readonly threads: System
  readonly nats: System | undefined
  readonly bare: System
  readonly grpc: System | undefined
  readonly easyRemote: System | undefined
  /** A line for each: which version, or why it is not there. */
  readonly notes: readonly string[]
}

export function findSystems(): Systems {
  const notes: string[] = []
  const nats = natsVersion()
  notes.push(`NATS: ${nats ?? 'SKIPPED, nats-server is not installed'}`)
  const peer = (name: string, id: string, found: Installed | NotInstalled): System | undefined => {
    if ('missing' in found) {
      notes.push(`${name}: SKIPPED, ${found.missing}`)
      return undefined
    }
    notes.push(`${name}: ${found.version}`)
    return { name, args: { peer: id, folder: found.folder }, isPeer: true }
  }
  return {
    ours: { name: 'millrace', args: {}, isPeer: false },
    threads: { name: 'millrace, in threads', args: { threads: 'yes' }, isPeer: false },
    nats: nats === undefined ? undefined : { name: 'millrace over NATS', args: { transport: 'nats' }, isPeer: false },
    bare: { name: 'bare ws, no gateway', args: { peer: 'websocket' }, isPeer: true },
    grpc: peer('gRPC, no gateway', 'grpc', installGrpc()),
    easyRemote: peer('EasyRemote', 'easyremote', installEasyRemote()),
    notes,
  }
}

function natsVersion(): string | undefined {
  const { status, stdout, stderr } = spawnSync('nats-server', ['--version'], { encoding: 'utf8' })
  return status === 0 ? (stdout || stderr).trim() : undefined
}
