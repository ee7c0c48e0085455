/** Does a node have the tags a call asks for? */
import type { Tags } from './messages.ts'

/** Numbers are a least amount (`memGiB: 8`), everything else must be equal. */
export function fits(tags: Tags, where: Tags): boolean {
  return Object.entries(where).every(([name, wanted]) => isMet(tags[name], wanted))
}

export function isMet(has: unknown, wanted: unknown): boolean {
  return typeof wanted === 'number' && typeof has === 'number' ? has >= wanted : has === wanted
}
