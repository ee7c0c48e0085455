/** A call per line of stdin, some at once; values are printed in the order of the lines. */
import { createInterface } from 'node:readline'
import type { Client } from '@millrace/remote'
import { UsageError } from 'millrace'
import type { Io } from '../io.ts'
import { jsonLine, write } from './output.ts'

/**
 * `first` are the arguments before those of each line.
 * @throws UsageError `REMOTE_ARGUMENT` for a line that is no list, and what the first failing call fails with
 */
export async function callEach(
  client: Client,
  fn: string,
  first: readonly unknown[],
  parallel: number,
  io: Io,
): Promise<void> {
  let running = 0
  let unprinted = 0
  let onRoom = (): void => {}
  let printed: Promise<void> = Promise.resolve()
  let number = 0
  for await (const line of createInterface({ input: process.stdin })) {
    number++
    if (line.trim() === '') continue
    const call: Promise<unknown> = client.call[fn](...first, ...listOf(line, number))
    running++
    unprinted++
    const done = (): void => {
      running--
      onRoom()
    }
    call.then(done, done)
    printed = printed.then(async () => {
      await write(io.stdout, jsonLine(await call))
      unprinted--
      onRoom()
    })
    // The failure is thrown below, by who waits.
    printed.catch(() => onRoom())
    while (running >= parallel || unprinted >= parallel * WAITING_PER_CALL) {
      const room = new Promise<void>((resolve) => {
        onRoom = resolve
      })
      await Promise.race([room, printed])
    }
  }
  await printed
}

/** Values that wait to be printed behind a slow one, for each call that may be under way. */
const WAITING_PER_CALL = 4

function listOf(line: string, number: number): unknown[] {
  try {
    const value = JSON.parse(line) as unknown
    if (Array.isArray(value)) return value
  } catch {
    // Said below.
  }
  throw new UsageError('REMOTE_ARGUMENT', `line ${number} of the input is no JSON list of arguments: [1, "two"].`)
}
