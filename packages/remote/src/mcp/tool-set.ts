/** The tools that a gateway's nodes offer now, and word when they change. */
import { matcher } from '../access-pattern.ts'
import type { Client } from '../client/client.ts'
import { RemoteError } from '../remote-error.ts'
import { type Tool, toolsOf } from './tool.ts'

/** How often the gateway is asked what it offers: tools change when nodes come and go. */
const LOOK_MS = 1_000

export class ToolSet {
  readonly #client: Client
  readonly #isWanted: (fn: string) => boolean
  readonly #listeners = new Set<() => void>()
  #tools: Tool[] = []
  #known = ''
  #timer: ReturnType<typeof setTimeout> | undefined
  #isClosed = false

  /** `only` are names in which `*` stands for any characters. */
  constructor(client: Client, only: readonly string[]) {
    this.#client = client
    this.#isWanted = matcher(only)
  }

  /** Asks now, and from then on again and again. @throws RemoteError when the gateway does not answer */
  async start(): Promise<void> {
    await this.fresh()
    this.#later()
  }

  /** What there is at this moment. */
  async fresh(): Promise<readonly Tool[]> {
    const functions = (await this.#client.functions()).filter(({ name }) => this.#isWanted(name))
    const wasKnown = this.#known
    // Who offers a function is no part of a tool.
    this.#known = JSON.stringify(functions.map(({ nodes: _nodes, ...fn }) => fn))
    if (this.#known !== wasKnown) {
      this.#tools = toolsOf(functions)
      if (wasKnown !== '') for (const listener of this.#listeners) listener()
    }
    return this.#tools
  }

  /** @throws RemoteError `NOT_FOUND` */
  async find(name: string): Promise<Tool> {
    const named = (tool: Tool): boolean => tool.name === name
    const tool = this.#tools.find(named) ?? (await this.fresh()).find(named)
    if (tool !== undefined) return tool
    const names = this.#tools.map((each) => each.name).join(', ')
    throw new RemoteError('NOT_FOUND', `there is no tool "${name}"; there are: ${names || 'none'}.`)
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #later(): void {
    if (this.#isClosed) return
    this.#timer = setTimeout(() => {
      // A gateway that is away for a moment has no news.
      this.fresh()
        .catch(() => {})
        .finally(() => this.#later())
    }, LOOK_MS)
  }
}
