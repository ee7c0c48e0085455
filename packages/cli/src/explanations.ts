/** What docs/errors.md says, by code: in a checkout the documentation, in the published package a copy beside the code. */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const PLACES = ['../../../docs/errors.md', '../errors.md']

/** Sections are headed by their code: `### FLOW_RUNNING`. Empty when the file is missing. */
export function explanations(): ReadonlyMap<string, string> {
  const file = PLACES.map((place) => fileURLToPath(new URL(place, import.meta.url))).find((path) => existsSync(path))
  const text = file === undefined ? '' : readFileSync(file, 'utf8')
  const sections = new Map<string, string>()
  for (const part of text.split(/^### /m).slice(1)) {
    const end = part.indexOf('\n')
    sections.set(part.slice(0, end).trim(), part.slice(end).split(/^## /m)[0].trim())
  }
  return sections
}
