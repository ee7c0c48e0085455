/** `openLog`: a log in a folder, shared by the processes of this machine. */
import { closeSync, openSync } from 'node:fs'
import path from 'node:path'
import { type Duration, OperationalError, positiveDurationMs } from 'millrace/connector'
import { Admin } from './admin.ts'
import { Changes } from './changes.ts'
import type { Log } from './client.ts'
import { LogConsumer } from './consumer.ts'
import { prepareFolder } from './folder.ts'
import { bellFile, wholeNumber } from './names.ts'
import { openProducer } from './producer.ts'
import { LogReader } from './reader.ts'
import { prepare } from './schema.ts'
import { type Writer, writerOf } from './writer.ts'

export interface LogOptions {
  /**
   * How long a commit waits for more requests, 0 to 5 ms. Default 0: what comes while one commit syncs is in the next
   * one anyway. More is of use for many processes that each append little.
   */
  readonly lingerMs?: number
  /** How often retention and compaction look for what to forget. Default '5s'. */
  readonly upkeepEvery?: Duration
}

/** What the parts of an open log share. */
export interface LogParts {
  readonly folder: string
  readonly reader: LogReader
  readonly writer: Writer
  readonly changes: Changes
}

/**
 * Opens the log in a folder; makes it when there is none. Several processes may have it open at once.
 * @throws OperationalError `LOG_FOLDER`, `LOG_NETWORK`, `LOG_VERSION`, `LOG_DAMAGED`, `LOG_DISK`, `LOG_BUSY`
 * @throws UsageError `LOG_OPTION`, `DURATION`
 * @example
 * const log = await openLog('.millrace/log')
 * await log.admin.createTopic('orders', { partitions: 2 })
 * const producer = await log.producer()
 * await producer.send({ topic: 'orders', key: 'k1', value: 'first' })
 * const consumer = await log.consumer({ topics: ['orders'] })
 * String((await consumer.poll())[0].value) // => 'first'
 * await log.close()
 */
export async function openLog(folder: string, options: LogOptions = {}): Promise<Log> {
  const parts = await openParts(folder, options)
  const open = new Set<{ close(): Promise<void> }>()
  let isClosed = false
  const keep = <C extends { close(): Promise<void> }>(made: C): C => {
    open.add(made)
    return made
  }
  const forget = (made: { close(): Promise<void> }): void => void open.delete(made)
  const checkOpen = (): void => {
    if (isClosed) {
      throw new OperationalError('LOG_CLOSED', `the log "${folder}" is closed; open it again.`, { data: { folder } })
    }
  }
  return {
    folder: parts.folder,
    admin: new Admin(parts),
    async producer(producerOptions = {}) {
      checkOpen()
      return keep(await openProducer(parts, producerOptions, forget))
    },
    async consumer(consumerOptions) {
      checkOpen()
      return keep(new LogConsumer(parts, consumerOptions, forget))
    },
    async close() {
      if (isClosed) return
      isClosed = true
      for (const each of [...open]) await each.close()
      await closeParts(parts)
    },
  }
}

const held = new Map<string, { readonly parts: Promise<LogParts>; holders: number }>()

/** Parts that the readers and committers of this thread's flows share; to be given back. */
export async function holdParts(folder: string): Promise<{ parts: LogParts; giveBack: () => Promise<void> }> {
  const absolute = path.resolve(folder)
  const entry = held.get(absolute) ?? { parts: openParts(absolute), holders: 0 }
  held.set(absolute, entry)
  entry.holders++
  const giveBack = async (): Promise<void> => {
    if (--entry.holders > 0) return
    held.delete(absolute)
    await closeParts(await entry.parts)
  }
  try {
    return { parts: await entry.parts, giveBack }
  } catch (thrown) {
    held.delete(absolute)
    throw thrown
  }
}

async function openParts(folder: string, options: LogOptions = {}): Promise<LogParts> {
  const lingerMs = wholeNumber('lingerMs', options.lingerMs ?? 0, 0, 5)
  const upkeepEveryMs = positiveDurationMs(options.upkeepEvery ?? '5s', 'upkeepEvery')
  const file = await prepareFolder(folder)
  await prepare(file)
  const absolute = path.dirname(file)
  const bell = bellFile(absolute)
  closeSync(openSync(bell, 'a'))
  const reader = new LogReader(file)
  const changes = new Changes(reader, bell)
  const writer = writerOf({ path: file, bell, lingerMs, upkeepEveryMs })
  return { folder: absolute, reader, writer, changes }
}

async function closeParts({ changes, writer, reader }: LogParts): Promise<void> {
  changes.close()
  await writer.release()
  reader.close()
}
