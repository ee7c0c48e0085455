/** `millrace gateway`: what nodes and clients connect to. */
import { type Gateway, type GatewayOptions, startGateway, type TokenRights } from '@millrace/remote'
import { Command } from 'commander'
import { OperationalError, UsageError } from 'millrace'
import { EXIT } from '../exit-codes.ts'
import type { Exit } from '../index.ts'
import type { Io } from '../io.ts'
import { sizeBytes, wholeNumber } from '../parse-options.ts'
import { readFileOf } from '../remote/connection-options.ts'
import { startGatewayMetrics } from '../remote/gateway-metrics.ts'
import { onSignals } from '../signals.ts'

interface Options {
  readonly host: string
  readonly port: number
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tlsCa?: string
  readonly tokens?: string
  readonly allowAnyone: boolean
  readonly origin: readonly string[]
  readonly metricsPort?: number
  readonly payloadMax?: number
  readonly silent?: number
  readonly nats?: string
  readonly quiet: boolean
}

const AFTER_HELP = `
TOKENS is a file of JSON: [{ "name": "sensors", "token": "...16 characters or more", "register": ["sensor.*"], "call": ["*"] }].
The port serves nodes, clients and browsers; when it is taken, the next free one is.`

/** Ports tried after a taken one. */
const TRIES = 20

export function gatewayCommand(io: Io, exit: Exit): Command {
  return new Command('gateway')
    .description('start a gateway, which nodes and clients connect to')
    .option('--host <address>', 'address to listen on; beyond this machine tokens are needed', '127.0.0.1')
    .option('--port <n>', '0 takes any free one', wholeNumber(0, 65_535), 8080)
    .option('--tls-cert <file>', 'certificate, for wss://')
    .option('--tls-key <file>', 'its key')
    .option('--tls-ca <file>', 'mutual TLS: only peers whose certificate this one has signed')
    .option('--tokens <file>', 'who may do what, see below')
    .option('--allow-anyone', 'listen beyond this machine without tokens', false)
    .option(
      '--origin <origin>',
      'web pages that may connect, https://app.example.org; may be repeated (default: none)',
      (origin: string, before: readonly string[]) => [...before, origin],
      [],
    )
    .option('--metrics-port <n>', 'port of /metrics on 127.0.0.1; 0 takes a free one', wholeNumber(0, 65_535))
    .option('--payload-max <size>', "largest argument, item or result (default: '256MiB')", sizeBytes)
    .option('--silent <ms>', 'a peer that is silent this long is gone (default: 5000)', wholeNumber(20, 600_000))
    .option('--nats <url>', 'serve nodes and clients over NATS too, together with the other gateways there')
    .option('--quiet', 'say only where it listens', false)
    .addHelpText('after', AFTER_HELP)
    .action(async (options: Options) => {
      exit(await gateway(options, io))
    })
}

async function gateway(options: Options, io: Io): Promise<number> {
  const settings = settingsOf(options, io)
  const signalled = new Promise<'SIGINT' | 'SIGTERM'>((resolve) => onSignals(resolve))
  const { gateway: started, note } = await startAt(settings, options.port)
  const metrics =
    options.metricsPort === undefined ? undefined : await startGatewayMetrics(started, options.metricsPort)
  io.stderr.write(`gateway at ${started.url}${note}\n`)
  if (metrics !== undefined) io.stderr.write(`metrics on ${metrics.url}/metrics\n`)
  if (io.stdout.isTTY !== true) {
    const facts = { gateway: started.url, port: started.port, metrics: metrics?.url }
    io.stdout.write(`${JSON.stringify(facts)}\n`)
  }
  const signal = await signalled
  await metrics?.close()
  await started.close()
  return signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated
}

/** The wanted port, or the next that is free. */
async function startAt(settings: GatewayOptions, wanted: number): Promise<{ gateway: Gateway; note: string }> {
  for (let port = wanted; ; port++) {
    try {
      const gateway = await startGateway({ ...settings, port })
      return { gateway, note: port === wanted ? '' : ` (${wanted} is taken)` }
    } catch (error) {
      const isTaken = error instanceof OperationalError && error.data.reason === 'EADDRINUSE'
      if (!isTaken || port >= Math.min(65_535, wanted + TRIES)) throw error
    }
  }
}

function settingsOf(options: Options, io: Io): GatewayOptions {
  const { host, tokens, tlsCert, tlsKey, tlsCa, allowAnyone, payloadMax, silent, nats } = options
  if ((tlsCert === undefined) !== (tlsKey === undefined) || (tlsCa !== undefined && tlsCert === undefined)) {
    throw new UsageError('REMOTE_TLS', 'TLS needs --tls-cert and --tls-key, both; --tls-ca comes on top of them.')
  }
  const log = (level: string, message: string): void => {
    if (!options.quiet || level === 'error') io.stderr.write(`${message}\n`)
  }
  return {
    ...{ host, allowAnyone, log, origins: options.origin },
    ...(tokens === undefined ? {} : { tokens: tokensOf(tokens, io) }),
    ...(payloadMax === undefined ? {} : { payloadBytesMax: payloadMax }),
    ...(silent === undefined ? {} : { silentMs: silent, pingMs: Math.max(10, Math.floor(silent / 2.5)) }),
    ...(nats === undefined ? {} : { nats: { url: nats } }),
    ...(tlsCert === undefined || tlsKey === undefined
      ? {}
      : {
          tls: {
            cert: readFileOf('--tls-cert', tlsCert, io),
            key: readFileOf('--tls-key', tlsKey, io),
            ...(tlsCa === undefined
              ? {}
              : { ca: readFileOf('--tls-ca', tlsCa, io), requestCert: true, rejectUnauthorized: true }),
          },
        }),
  }
}

/** @throws UsageError `REMOTE_TOKEN` for a file that is no list of tokens; its contents are never shown */
function tokensOf(file: string, io: Io): TokenRights[] {
  const text = readFileOf('--tokens', file, io).toString('utf8')
  const wrong = (what: string): UsageError =>
    new UsageError(
      'REMOTE_TOKEN',
      `${file} ${what}. It holds [{ "name", "token", "register": [patterns], "call": [patterns] }].`,
    )
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch {
    throw wrong('is no JSON')
  }
  if (!Array.isArray(list) || list.length === 0) throw wrong('is no list of tokens')
  const isNames = (value: unknown): boolean =>
    value === undefined || (Array.isArray(value) && value.every((each) => typeof each === 'string'))
  for (const [i, entry] of (list as Record<string, unknown>[]).entries()) {
    if (typeof entry?.name !== 'string' || typeof entry.token !== 'string')
      throw wrong(`: entry ${i + 1} lacks name or token`)
    if (!isNames(entry.register) || !isNames(entry.call)) throw wrong(`: entry ${i + 1} has patterns that are no list`)
  }
  return list as TokenRights[]
}
