/**
 * The one thread of a process that writes: takes requests in groups, a transaction each, and keeps leases alive.
 *
 * Invariants:
 *  W1  A request is answered after the commit that holds it is on the disk.
 *  W2  A request that is refused changes nothing and harms no other request of its group.
 *  W3  After an error of the disk nobody of the group is answered with success, whatever became of it.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { type MessagePort, parentPort, workerData } from 'node:worker_threads'
import { append, openProducer, publish } from './append.ts'
import { commitOffsets, heartbeat, join, leave, release } from './groups.ts'
import { Leases } from './leases.ts'
import {
  type Argument,
  type FromThread,
  type RequestName,
  type Result,
  type ThreadData,
  type ToThread,
  toPlain,
} from './protocol.ts'
import { logError, openDatabase } from './sqlite.ts'
import { statements } from './statements.ts'
import { createTopic, deleteRecords, deleteTopic } from './topics.ts'
import { begin, rollBack } from './transaction.ts'
import { upkeep } from './upkeep.ts'

/** A group ends with the request that fills it: a longer one would keep the others waiting. */
const GROUP_BYTES = 1024 * 1024

interface Waiting {
  readonly bytes: number
  readonly run: () => unknown
  readonly done: (result: unknown) => void
  readonly failed: (error: unknown) => void
}

const { path, bell: bellPath, lingerMs, upkeepEveryMs } = workerData as ThreadData
const port = parentPort as MessagePort
const db = openDatabase(path, 'write')
const sql = statements(db)
const bell = openSync(bellPath, 'w')
const queue: Waiting[] = []
let isRunning = false
let isClosing = false

const handlers: { readonly [N in RequestName]: (argument: Argument<N>) => Result<N> } = {
  createTopic: ({ name, settings, mayExist }) => createTopic(sql, name, settings, mayExist),
  deleteTopic: ({ name }) => deleteTopic(sql, name),
  deleteRecords: ({ partition, before }) => deleteRecords(sql, partition, before),
  openProducer: (request) => openProducer(sql, request, Date.now()),
  append: (request) => append(sql, request, Date.now()),
  publish: (request) => publish(sql, request, Date.now()),
  join: (request) => join(sql, request, Date.now()),
  heartbeat: ({ group, member }) => heartbeat(sql, group, member, Date.now()),
  release: (request) => release(sql, request, Date.now()),
  leave: ({ group, member }) => leave(sql, group, member, Date.now()),
  commitOffsets: (request) => commitOffsets(sql, request, Date.now()),
}

const post = (message: FromThread): void => port.postMessage(message)

const leases = new Leases(
  (group, member) => enqueue(0, () => handlers.heartbeat({ group, member })),
  (member, view) => post({ type: 'member', member, view }),
)

function enqueue<R>(bytes: number, run: () => R): Promise<R> {
  return new Promise<R>((resolve, reject) => {
    queue.push({ bytes, run, done: resolve as (result: unknown) => void, failed: reject })
    if (!isRunning) void work()
  })
}

async function work(): Promise<void> {
  isRunning = true
  while (queue.length > 0) {
    if (lingerMs > 0) await sleep(lingerMs)
    try {
      await begin(db, path)
    } catch (thrown) {
      for (const waiting of queue.splice(0)) waiting.failed(thrown)
      break
    }
    commitGroup(takeGroup())
    // What came while the disk was busy is in the port; it makes the next group.
    await turn()
  }
  isRunning = false
}

function takeGroup(): Waiting[] {
  let bytes = 0
  let count = 0
  while (count < queue.length && bytes < GROUP_BYTES) bytes += queue[count++].bytes
  return queue.splice(0, count)
}

/** Runs a group inside the transaction that has begun, commits, answers. */
function commitGroup(group: readonly Waiting[]): void {
  const results: { readonly result?: unknown; readonly refused?: unknown }[] = []
  try {
    for (const waiting of group) {
      db.exec('SAVEPOINT request')
      try {
        results.push({ result: waiting.run() })
      } catch (thrown) {
        // Errors of the store concern the whole group; ours concern the request.
        if ((thrown as { code?: string }).code === 'ERR_SQLITE_ERROR') throw thrown
        db.exec('ROLLBACK TO request')
        results.push({ refused: thrown })
      }
      db.exec('RELEASE request')
    }
    db.exec('COMMIT')
  } catch (thrown) {
    rollBack(db)
    const error = logError(thrown, path)
    for (const waiting of group) waiting.failed(error)
    return
  }
  for (const [i, waiting] of group.entries()) {
    if ('refused' in results[i]) waiting.failed(results[i].refused)
    else waiting.done(results[i].result)
  }
  ring()
}

function ring(): void {
  try {
    writeSync(bell, '.', 0)
  } catch {
    // A full disk: readers of other processes find the change by looking, within 25 ms.
  }
  post({ type: 'changed' })
}

port.on('message', (message: ToThread) => {
  if (message.type === 'close') {
    void close()
    return
  }
  const { id, name } = message
  const argument = message.argument as never
  enqueue(sizeOf(name, argument), () => handlers[name](argument)).then(
    (result) => {
      leases.noticed(name, argument, result)
      post({ type: 'done', id, result })
    },
    (thrown) => post({ type: 'failed', id, error: toPlain(thrown) }),
  )
})

function sizeOf(name: RequestName, argument: unknown): number {
  if (name !== 'append' && name !== 'publish') return 0
  return (argument as Argument<'append'>).batches.reduce((sum, batch) => sum + batch.bytes.length, 0)
}

async function keepUp(): Promise<void> {
  while (!isClosing) {
    await sleep(upkeepEveryMs, undefined, { ref: false })
    if (isClosing) return
    // A failure here loses nothing: the next round begins where this one ended.
    await upkeep(sql, (run) => enqueue(0, run), Date.now).catch(() => {})
  }
}

async function close(): Promise<void> {
  isClosing = true
  leases.close()
  while (isRunning) await turn()
  db.close()
  closeSync(bell)
  port.close()
}

void keepUp()
