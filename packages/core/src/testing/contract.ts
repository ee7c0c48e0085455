/** What the contract suites have in common: named checks that any test runner can run. */
import type { SinkContext, SourceContext } from '../connector.ts'
import { nodeDisk } from '../runtime/node-disk.ts'
import type { Disk } from '../runtime/ports.ts'

/**
 * One promise of a contract. `run` throws what is broken.
 * With vitest: `for (const check of sourceContract(...)) test(check.name, check.run)`
 */
export interface ContractCheck {
  readonly name: string
  readonly run: () => Promise<void>
}

/** Fixtures of a check; `close` is called when it ends, whatever happened. */
export interface Closable {
  readonly close?: () => Promise<void> | void
}

/** A check that makes its own fixture and closes it. */
export function check<F extends Closable>(
  name: string,
  make: () => Promise<F> | F,
  body: (fixture: F) => Promise<void>,
): ContractCheck {
  return {
    name,
    async run() {
      const fixture = await make()
      try {
        await body(fixture)
      } finally {
        await fixture.close?.()
      }
    },
  }
}

/** A source context outside a flow; waiting takes one turn of the event loop. Rejected records are pushed to `rejected`. */
export function sourceContext(disk: Disk | undefined, rejected: RejectedRecord[]): SourceContext {
  let now = 0
  return {
    step: 'contract',
    flow: 'contract',
    disk: disk ?? nodeDisk(),
    logFolder: '.millrace/log',
    signal: new AbortController().signal,
    now: () => now,
    async wait(ms) {
      now += ms
    },
    reject: (bad) => void rejected.push(bad),
    lost() {},
    gauge() {},
    log() {},
  }
}

export type RejectedRecord = Parameters<SourceContext['reject']>[0]

export function sinkContext(disk: Disk | undefined): SinkContext {
  return {
    step: 'contract',
    flow: 'contract',
    disk: disk ?? nodeDisk(),
    logFolder: '.millrace/log',
    instance: { index: 0, count: 1 },
    signal: new AbortController().signal,
    lost() {},
    gauge() {},
    log() {},
  }
}
