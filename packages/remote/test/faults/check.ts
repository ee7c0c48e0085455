/**
 * What must be true at the end of a run, whatever happened in it:
 *
 *  every call ended once; values are right; items are 0..k-1, and all of them where the stream came to its end;
 *  a call that may run once began at most once; an error names a fault that happened to what the call used, at its time;
 *  producers were never further ahead than the window; nothing is left open anywhere.
 */
import { RemoteError } from '../../src/remote-error.ts'
import type { CallRecord, FaultRecord } from './ledger.ts'
import { WINDOW, type World } from './world.ts'

/** The functions of nodes that a fault ended go on for a moment; and retries come after the fault. */
const AFTER_MS = 1_000

/** Every call of a client and what its node has for it is within windows: some calls, some kilobytes each. */
const BUFFERED_BYTES_MAX = 8 * 1024 * 1024

export function check(
  world: World,
  records: ReadonlyMap<number, CallRecord>,
  faults: readonly FaultRecord[],
): string | undefined {
  for (const record of records.values()) {
    const wrong = ofCall(record, faults, world)
    if (wrong !== undefined) return `call ${record.plan.id} (${JSON.stringify(record.plan)}): ${wrong}`
  }
  const peers = world.nodes.size + world.clients.length
  if (faults.length === 0 && world.wiresOpened > peers) return `${world.wiresOpened - peers} links broke by themselves`
  return ofWorld(world, records)
}

function ofCall(record: CallRecord, faults: readonly FaultRecord[], world: World): string | undefined {
  const { plan, ends, error, value, items, begunOn } = record
  if (ends !== 1) return `it ended ${ends} times`
  if (!plan.idempotent && begunOn.length > 1) return `it began ${begunOn.length} times, on ${begunOn.join(', ')}`
  const wrong = items.findIndex((item, i) => item !== i)
  if (wrong >= 0) return `item ${wrong} is ${String(items[wrong])}`
  if (!plan.idempotent && record.aheadMost > WINDOW.items + 1) return `its producer was ${record.aheadMost} items ahead`
  if (error !== undefined) return unexplained(record, faults, world)
  switch (plan.kind) {
    case 'work':
      return value === plan.id * 7 + 1 ? undefined : `its value is ${String(value)}`
    case 'sum':
      return value === (plan.size * (plan.size - 1)) / 2 ? undefined : `its value is ${String(value)}`
    case 'big': {
      const bytes = value as Uint8Array
      const isRight = bytes.length === plan.size * 1024 && bytes.every((byte) => byte === ((plan.id & 255) ^ 255))
      return isRight ? undefined : `its ${bytes.length} bytes are wrong`
    }
    default: {
      const due = plan.leaveAfter === undefined || plan.leaveAfter === 0 ? plan.size : plan.leaveAfter
      return items.length === due ? undefined : `it ended without an error after ${items.length} items of ${due}`
    }
  }
}

/** An error must come from a fault of something the call used, while it used it. */
function unexplained(
  { plan, error, startedAtMs, endedAtMs, begunOn }: CallRecord,
  faults: readonly FaultRecord[],
  world: World,
): string | undefined {
  if (!(error instanceof RemoteError)) return `it failed with ${error?.stack}`
  const endMs = endedAtMs ?? world.now
  const overlaps = faults.filter(({ atMs, untilMs }) => atMs <= endMs + 1 && untilMs + AFTER_MS >= startedAtMs)
  const client = `client-${plan.client}`
  const hits = (whose: readonly string[]): boolean => overlaps.some((fault) => whose.includes(fault.whose))
  const anyNode = [...world.nodes.keys()]
  const why = `it failed with ${error.code}: ${error.message}`
  switch (error.code) {
    case 'DEADLINE_EXCEEDED':
      return plan.deadlineMs !== undefined && endMs - startedAtMs >= plan.deadlineMs - 1 ? undefined : why
    case 'CONNECTION_LOST':
    case 'GATEWAY_UNREACHABLE':
      return hits([client, 'gateway']) ? undefined : why
    case 'NODE_LOST':
      return hits([error.node ?? '', 'gateway']) && !plan.resumable ? undefined : why
    case 'UNAVAILABLE':
    case 'NOT_FOUND':
      return hits([...anyNode, 'gateway']) ? undefined : why
    case 'PROTOCOL_ERROR':
      return overlaps.some(({ kind, whose }) => kind === 'twice' && whose === client) ? undefined : why
    case 'STREAM_LOST': {
      // Of a node that lives, a stream is lost only when it never began there or the consumer was away too long.
      const isNodeGone = begunOn.some((id) => world.nodes.get(id)?.host.isAlive === false)
      const wasLong = overlaps.some(({ kind }) => kind === 'freeze' || kind === 'silence' || kind === 'slow-reader')
      return plan.resumable && (isNodeGone || begunOn.length === 0 || wasLong)
        ? undefined
        : `${why}; begun on ${begunOn}`
    }
  }
  return why
}

function ofWorld(world: World, records: ReadonlyMap<number, CallRecord>): string | undefined {
  const { stats } = world.gateway.core
  if (stats.inFlight !== 0) return `${stats.inFlight} routes are left at the gateway`
  if (stats.heldStreams !== 0) return `${stats.heldStreams} streams are left at the gateway`
  const sum = stats.finished + stats.failed + stats.cancelled + stats.held
  if (stats.opened !== sum) return `${stats.opened} calls were opened, ${sum} ended`
  if (stats.clients !== world.clients.length) return `${stats.clients} clients are connected`
  for (const status of world.gateway.core.nodes) {
    if (status.inFlight !== 0) return `the gateway counts ${status.inFlight} calls on ${status.id}`
  }
  for (const [id, { host, node }] of world.nodes) {
    if (!host.isAlive) continue
    if (!world.gateway.core.nodes.some((status) => status.id === id)) return `node ${id} did not come back`
    if (node.inFlight !== 0 || node.heldStreams !== 0) {
      return `node ${id} has ${node.inFlight} calls and ${node.heldStreams} streams left`
    }
  }
  for (const { plan, begunOn, finished } of records.values()) {
    const alive = begunOn.filter((id) => world.nodes.get(id)?.host.isAlive === true)
    if (finished < alive.length) return `a function of call ${plan.id} never came to its end, on ${alive.join(', ')}`
  }
  if (world.bufferedBytesMost > BUFFERED_BYTES_MAX) return `${world.bufferedBytesMost} bytes waited at one link`
  return undefined
}
