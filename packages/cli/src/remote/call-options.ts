/** Options of `call` and `stream`: how long, where, and whether it may run again. */
import type { CallOptions } from '@millrace/remote'
import { type Command, Option } from 'commander'
import { wholeNumber } from '../parse-options.ts'
import { type ErrorForm, errorFormOption, type GatewayFlags, type TagValues, tag } from './connection-options.ts'

export interface CallFlags extends GatewayFlags {
  readonly deadline?: number
  readonly where?: TagValues
  readonly node?: string
  readonly key?: string
  readonly policy?: NonNullable<CallOptions['policy']>
  readonly idempotent: boolean
  readonly errors: ErrorForm
}

const POLICIES = ['least-in-flight', 'round-robin', 'random', 'weighted', 'latency', 'hash'] as const

const DEADLINE_MS_MAX = 7 * 86_400_000

export function withCallOptions(command: Command): Command {
  return command
    .option('--deadline <ms>', 'fails when it takes longer, in all', wholeNumber(1, DEADLINE_MS_MAX))
    .option('--where <tag>', 'NAME=VALUE that the node must have; a number is a least amount. May be repeated', tag)
    .option('--node <id>', 'the node that must take it')
    .option('--key <text>', 'calls of one key go to one node, under the policy hash')
    .addOption(new Option('--policy <which>', "instead of the function's own").choices([...POLICIES]))
    .option('--idempotent', 'may run twice: sent again when a node or the gateway is lost', false)
    .addOption(errorFormOption())
}

export function callOptionsOf(flags: CallFlags, signal: AbortSignal): CallOptions {
  const { deadline, where, node, key, policy, idempotent } = flags
  return {
    signal,
    idempotent,
    ...(deadline === undefined ? {} : { deadline }),
    ...(where === undefined ? {} : { where }),
    ...(node === undefined ? {} : { node }),
    ...(key === undefined ? {} : { key }),
    ...(policy === undefined ? {} : { policy }),
  }
}
