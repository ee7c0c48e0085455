/** Options of every command that talks to a gateway, and what they make: an address, a token, certificates. */
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { type Client, type ClientOptions, connect } from '@millrace/remote'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { UsageError } from 'millrace'
import type { Io } from '../io.ts'

export interface GatewayFlags {
  readonly gateway?: string
  readonly token?: string
  readonly tlsCa?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
}

const DEFAULT_GATEWAY = 'ws://127.0.0.1:8080'

export function withGatewayOptions(command: Command): Command {
  return command
    .option('--gateway <url>', `ws://HOST:PORT, wss:// or nats:// (default: MILLRACE_GATEWAY, or ${DEFAULT_GATEWAY})`)
    .option('--token <token>', 'what the gateway asks for (default: MILLRACE_TOKEN, which other users cannot see)')
    .option('--tls-ca <file>', 'certificates to trust besides those of the system, for wss://')
    .option('--tls-cert <file>', 'certificate of this side, for mutual TLS')
    .option('--tls-key <file>', 'key of that certificate')
}

export interface GatewayAccess {
  readonly gateway: string
  readonly token?: string
  readonly tls?: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer }
}

/** @throws UsageError `REMOTE_FILE`, `REMOTE_ADDRESS` */
export function accessOf(flags: GatewayFlags, io: Io): GatewayAccess {
  const token = flags.token ?? io.env.MILLRACE_TOKEN
  const { tlsCa: ca, tlsCert: cert, tlsKey: key } = flags
  const tls = {
    ...(ca === undefined ? {} : { ca: readFileOf('--tls-ca', ca, io) }),
    ...(cert === undefined ? {} : { cert: readFileOf('--tls-cert', cert, io) }),
    ...(key === undefined ? {} : { key: readFileOf('--tls-key', key, io) }),
  }
  return {
    gateway: addressOf(flags.gateway ?? io.env.MILLRACE_GATEWAY ?? DEFAULT_GATEWAY),
    ...(token === undefined || token === '' ? {} : { token }),
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
  }
}

export function connectTo(flags: GatewayFlags, io: Io, options: ClientOptions = {}): Promise<Client> {
  return connect({ ...accessOf(flags, io), ...options })
}

/** @throws UsageError `REMOTE_FILE` */
export function readFileOf(option: string, file: string, io: Io): Buffer {
  const full = path.resolve(io.cwd, file)
  if (existsSync(full)) return readFileSync(full)
  throw new UsageError('REMOTE_FILE', `${option}: there is no file ${file}. It is taken from the folder you are in.`)
}

/** `host:port` is as good as `ws://host:port`. */
function addressOf(text: string): string {
  const address = /^[a-z]+:\/\//i.test(text) ? text : `ws://${text}`
  if (URL.canParse(address) && /^(ws|wss|nats|tls):$/.test(new URL(address).protocol)) return address.replace(/\/$/, '')
  throw new UsageError(
    'REMOTE_ADDRESS',
    `"${text}" is no address of a gateway; write ws://HOST:PORT, wss://HOST:PORT or nats://HOST:PORT.`,
  )
}

export type Tag = string | number | boolean
export type TagValues = Readonly<Record<string, Tag>>

/** `k=v`, again for each: numbers and true/false are taken as such, everything else as text. */
export function tag(text: string, before: TagValues = {}): TagValues {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('It must be NAME=VALUE: gpu=true, memGiB=24, zone=b.')
  return { ...before, [text.slice(0, at)]: tagValue(text.slice(at + 1)) }
}

function tagValue(text: string): Tag {
  if (text === 'true' || text === 'false') return text === 'true'
  return text !== '' && Number.isFinite(Number(text)) ? Number(text) : text
}

export type ErrorForm = 'text' | 'json'

export function errorFormOption(): Option {
  return new Option('--errors <form>', 'how a failure is written to stderr').choices(['text', 'json']).default('text')
}
