/** For the tests of the file connector: a temporary folder with files, and reading a source to its end. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BadRecord, Position, Source, SourceContext } from 'millrace/connector'
import { nodeDisk } from 'millrace/testing'

export class TestFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'millrace-file-'))

  file(name: string, content: string | Uint8Array): string {
    const path = this.at(name)
    writeFileSync(path, content)
    return path
  }

  at(name: string): string {
    return join(this.path, name)
  }

  text(name: string): string {
    return readFileSync(this.at(name), 'utf8')
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

export interface TestContext extends SourceContext {
  readonly rejected: BadRecord[]
  /** Called instead of waiting. */
  onWait: () => void
}

export function testContext(): TestContext {
  const rejected: BadRecord[] = []
  return {
    step: 'in',
    flow: 'test',
    disk: nodeDisk(),
    logFolder: '.millrace/log',
    signal: new AbortController().signal,
    now: () => 0,
    async wait() {
      this.onWait()
    },
    onWait() {},
    reject: (bad) => void rejected.push(bad),
    lost() {},
    gauge() {},
    log() {},
    rejected,
  }
}

/** All rows of the first partition, with the lines they came from and what was rejected: `code at`. */
export async function readAll<T>(source: Source<T>, position?: Position, maxRows = 1000) {
  const ctx = testContext()
  const [partition] = await source.partitions(ctx)
  const reader = await source.open(partition, position, ctx)
  const rows: T[] = []
  const lines: (string | number)[] = []
  let next: Position | undefined
  try {
    for (;;) {
      const batch = await reader.read(maxRows)
      if (batch === 'end') break
      const plain = batch.rows as readonly T[]
      for (let i = 0; i < plain.length; i++) lines.push(batch.at(i))
      rows.push(...plain)
      next = batch.next
    }
  } finally {
    await reader.close()
  }
  return { rows, lines, next, rejected: ctx.rejected.map((bad) => `${bad.code} ${bad.at}`), bad: ctx.rejected }
}
