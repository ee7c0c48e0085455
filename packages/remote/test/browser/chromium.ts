/** A real Chromium, driven over its debugging port; for tests. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WebSocket } from 'ws'

/** The browser's command, or undefined where there is none. */
export const chromium = ['chromium', 'chromium-browser', 'google-chrome'].find(
  (name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0,
)

interface Reply {
  readonly id?: number
  readonly result?: { readonly result?: { readonly value?: unknown }; readonly exceptionDetails?: unknown }
}

export class Page {
  readonly #browser: ChildProcess
  readonly #folder: string
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (reply: Reply) => void>()
  #ids = 0

  private constructor(browser: ChildProcess, folder: string, socket: WebSocket) {
    this.#browser = browser
    this.#folder = folder
    this.#socket = socket
    socket.on('message', (data) => {
      const reply = JSON.parse(String(data)) as Reply
      if (reply.id !== undefined) this.#waiting.get(reply.id)?.(reply)
    })
  }

  /** Starts a browser of its own and opens `url`. */
  static async open(url: string): Promise<Page> {
    const folder = mkdtempSync(join(tmpdir(), 'millrace-chromium-'))
    const browser = spawn(
      chromium as string,
      [
        ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
        ...['--remote-debugging-port=0', `--user-data-dir=${folder}`, url],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    const port = await new Promise<string>((resolve, reject) => {
      let said = ''
      browser.stderr?.on('data', (chunk) => {
        said += chunk
        const found = /DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)/.exec(said)
        if (found !== null) resolve(found[1])
      })
      browser.once('exit', () => reject(new Error(`chromium ended:\n${said}`)))
    })
    for (let attempt = 0; attempt < 200; attempt++) {
      const targets = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as {
        type: string
        url: string
        webSocketDebuggerUrl: string
      }[]
      const target = targets.find((each) => each.type === 'page' && each.url.startsWith(url))
      if (target !== undefined) {
        const socket = new WebSocket(target.webSocketDebuggerUrl)
        await new Promise((resolve) => socket.once('open', resolve))
        const page = new Page(browser, folder, socket)
        const isThere = `location.href.startsWith(${JSON.stringify(url)}) && document.readyState === 'complete'`
        while ((await page.evaluate(isThere)) !== true) await new Promise((resolve) => setTimeout(resolve, 20))
        return page
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    browser.kill('SIGKILL')
    throw new Error(`chromium did not open ${url}`)
  }

  /** The value of an expression in the page, which may be a promise. */
  async evaluate(expression: string): Promise<unknown> {
    const id = ++this.#ids
    const reply = await new Promise<Reply>((resolve) => {
      this.#waiting.set(id, resolve)
      const params = { expression, awaitPromise: true, returnByValue: true }
      this.#socket.send(JSON.stringify({ id, method: 'Runtime.evaluate', params }))
    })
    if (reply.result?.exceptionDetails !== undefined) throw new Error(JSON.stringify(reply.result.exceptionDetails))
    return reply.result?.result?.value
  }

  async close(): Promise<void> {
    this.#socket.terminate()
    const ended = new Promise((resolve) => this.#browser.once('exit', resolve))
    this.#browser.kill('SIGKILL')
    await ended
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }
}
