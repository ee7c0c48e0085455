/** One row as one line of JSON. */

/**
 * JSON text of a row and a line feed. Line breaks inside texts are escaped by JSON itself, so a row is always one line.
 * @throws TypeError for what JSON has no form for: undefined, functions, symbols, cycles, Map and Set
 * @example jsonLine({ id: 7n, at: new Date(0) }) // => '{"id":"7","at":"1970-01-01T00:00:00.000Z"}\n'
 */
export function jsonLine(row: unknown): string {
  const text = jsonText(row)
  return `${text}\n`
}

export function jsonText(value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
    // A Map or a Set would silently become {}: only where {} occurs is it worth a second, slower look.
    if (text !== undefined && text.includes('{}')) text = JSON.stringify(value, replacer)
  } catch (thrown) {
    // JSON.stringify refuses bigints; the replacer, five times slower, has a form for them.
    if (!(thrown instanceof TypeError)) throw thrown
    text = JSON.stringify(value, replacer)
  }
  if (text === undefined)
    throw new TypeError(`it is ${value === undefined ? 'undefined' : `a ${typeof value}`}, which JSON has no form for`)
  return text
}

function replacer(key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (value instanceof Map || value instanceof Set) {
    throw new TypeError(
      `${key === '' ? 'it' : `"${key}"`} is a ${value instanceof Map ? 'Map' : 'Set'}, which JSON has no form for`,
    )
  }
  return value
}
