/** Arguments held against contracts at the gateway, before a node sees the call. Only those of contracts it was given are decoded. */
import { UsageError } from 'millrace/connector'
import type { Contract, ContractFunction } from '../contract/contract.ts'
import { valueOrRefusal } from '../contract/schema.ts'
import { decode } from '../protocol/codec.ts'
import { type Frame, hasMore } from '../protocol/frame.ts'
import type { OpenHeader } from '../protocol/messages.ts'
import { RemoteError } from '../remote-error.ts'

/** Stands for an argument that is a stream: its items come later, and are the node's to check. */
const STREAM: AsyncIterable<unknown> = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject() }) }

export class EdgeCheck {
  readonly #functions = new Map<string, ContractFunction>()

  /** @throws UsageError `REMOTE_CONTRACT` when two contracts have a function of one name */
  constructor(contracts: readonly Contract[]) {
    for (const { functions } of contracts) {
      for (const [name, fn] of functions) {
        if (this.#functions.has(name))
          throw new UsageError(
            'REMOTE_CONTRACT',
            `two contracts of the gateway have a function "${name}"; give it one.`,
          )
        this.#functions.set(name, fn)
      }
    }
  }

  /**
   * Arguments that come in several pieces, and schemas that answer later, are left to the node: nothing waits here.
   * @throws RemoteError `INVALID_ARGUMENT` with the path, `PROTOCOL_ERROR` for arguments that are damaged
   */
  check(frame: Frame, { fn, streams = [] }: OpenHeader, args: Uint8Array): void {
    const contract = this.#functions.get(fn)
    if (contract === undefined || hasMore(frame)) return
    const list = decode(args)
    if (!Array.isArray(list)) throw new RemoteError('PROTOCOL_ERROR', 'the arguments are no list.')
    for (const position of streams) if (position < list.length) list[position] = STREAM
    const result = contract.input['~standard'].validate(list)
    if (result instanceof Promise) result.catch(() => {})
    else valueOrRefusal(result, 'the arguments', fn)
  }
}
