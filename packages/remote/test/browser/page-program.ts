/** What the tests run in a page, and in Node: it uses nothing but its arguments and what browsers have. */
import type { Client, ClientOptions } from '@millrace/remote/browser'
import type { pageFunctions } from './page-functions.ts'

export interface PageReport {
  readonly sum: number
  readonly bytes: readonly number[]
  readonly items: number
  readonly isOrdered: boolean
  /** Items that the node had given while 10 were taken. */
  readonly ahead: number
  readonly error: string
  readonly near: unknown
  /** Leaving the loop ran the generator's `finally`. */
  readonly isClosed: boolean
}

type Connect = (options: ClientOptions & { gateway: string }) => Promise<Client<ReturnType<typeof pageFunctions>>>

export async function pageProgram(connect: Connect, gateway: string): Promise<PageReport> {
  const client = await connect({ gateway })
  const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
  const codeOf = (promise: Promise<unknown>): Promise<{ code: string; data: { near?: unknown } }> =>
    promise.then(
      () => ({ code: 'none', data: {} }),
      (error) => error as { code: string; data: { near?: unknown } },
    )
  const sum = await client.call.add(1, 2)
  const bytes = [...(await client.call.echo(new Uint8Array([1, 2, 255])))]
  let items = 0
  let isOrdered = true
  for await (const item of client.stream.gen(100_000)) isOrdered &&= item === items++
  const endless = client.stream.endless()
  for (let i = 0; i < 10; i++) await endless.next()
  await wait(200)
  const ahead = (await client.call.counted()).yielded
  await wait(200)
  const isStill = (await client.call.counted()).yielded === ahead
  await endless.cancel()
  let isClosed = false
  for (let i = 0; i < 100 && !isClosed; i++) {
    isClosed = (await client.call.counted()).closed
    await wait(10)
  }
  const { code } = await codeOf(client.call.boom())
  const { data } = await codeOf((client.call as unknown as { ad(): Promise<void> }).ad())
  await client.close()
  return { sum, bytes, items, isOrdered, ahead: isStill ? ahead : -1, error: code, near: data.near, isClosed }
}
