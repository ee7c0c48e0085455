/** Patterns of function names: names in which `*` stands for any characters. */
export function matcher(patterns: readonly string[]): (name: string) => boolean {
  const expressions = patterns.map((pattern) => {
    const escaped = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&'))
    return new RegExp(`^${escaped.join('.*')}$`)
  })
  return (name) => expressions.some((expression) => expression.test(name))
}
