/** What docs/errors.md says, by code: in a checkout the documentation, in the published package a copy beside the code. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const PLACES = ['../../../docs/errors.md', '../errors.md']

/** One row of its tables. */
export interface Explanation {
  /** Who must act. */
  readonly class: string
  readonly meaning: string
  readonly remedy: string
}

/** Rows are `code`, class, meaning, remedy. Empty when the file is missing. */
export function explanations(): ReadonlyMap<string, Explanation> {
  const file = PLACES.map((place) => fileURLToPath(new URL(place, import.meta.url))).find((path) => existsSync(path))
  const found = new Map<string, Explanation>()
  for (const line of file === undefined ? [] : readFileSync(file, 'utf8').split('\n')) {
    const [code, kind = '', meaning = '', remedy = ''] = line
      .replace(/^\| | \|$/g, '')
      .split(/ (?<!\\)\| /)
      .map((cell) => cell.replaceAll('\\|', '|'))
    const name = /^`([A-Z][A-Z0-9_]+)`$/.exec(code)?.[1]
    if (name !== undefined) found.set(name, { class: kind, meaning, remedy })
  }
  return found
}
