/** Prepared statements of a connection, each made once. */
import type { DatabaseSync, StatementSync } from 'node:sqlite'

export type Sql = (text: string) => StatementSync

export function statements(db: DatabaseSync): Sql {
  const made = new Map<string, StatementSync>()
  return (text) => {
    let statement = made.get(text)
    if (statement === undefined) {
      statement = db.prepare(text)
      made.set(text, statement)
    }
    return statement
  }
}
