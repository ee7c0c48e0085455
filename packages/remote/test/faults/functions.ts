/** What the nodes of the world offer. Each notes what it does in the ledger. */
import type { SimHost } from './host.ts'
import type { CallRecord } from './ledger.ts'

export function functionsOf(records: ReadonlyMap<number, CallRecord>, host: SimHost, node: string) {
  const begin = (id: number): CallRecord => {
    const record = records.get(id)
    if (record === undefined) throw new Error(`there is no call ${id}`)
    record.begunOn.push(node)
    return record
  }
  const produce = (record: CallRecord): void => {
    record.produced++
    record.aheadMost = Math.max(record.aheadMost, record.produced - record.items.length)
  }
  return {
    async work(id: number, ms: number): Promise<number> {
      const record = begin(id)
      await host.sleep(ms)
      record.finished++
      return id * 7 + 1
    },
    async *steps(id: number, n: number, gapMs: number): AsyncGenerator<number> {
      const record = begin(id)
      try {
        for (let i = 0; i < n; i++) {
          if (gapMs > 0) await host.sleep(gapMs)
          produce(record)
          yield i
        }
      } finally {
        record.finished++
      }
    },
    *burst(id: number, n: number): Generator<number> {
      const record = begin(id)
      try {
        for (let i = 0; i < n; i++) {
          produce(record)
          yield i
        }
      } finally {
        record.finished++
      }
    },
    async sum(id: number, numbers: AsyncIterable<number>): Promise<number> {
      const record = begin(id)
      try {
        let sum = 0
        for await (const number of numbers) sum += number
        return sum
      } finally {
        record.finished++
      }
    },
    async big(id: number, bytes: Uint8Array): Promise<Uint8Array> {
      const record = begin(id)
      record.finished++
      return bytes.map((byte) => byte ^ 255)
    },
  }
}
