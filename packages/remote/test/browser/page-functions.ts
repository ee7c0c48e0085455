/** Functions of a node for the tests of the browser's client. */
export function pageFunctions() {
  const counted = { yielded: 0, closed: false }
  return {
    add: (a: number, b: number) => a + b,
    echo: (value: Uint8Array) => value,
    boom: () => {
      throw new Error('boom from node')
    },
    *gen(n: number) {
      for (let i = 0; i < n; i++) yield i
    },
    *endless() {
      try {
        for (;;) yield counted.yielded++
      } finally {
        counted.closed = true
      }
    },
    counted: () => counted,
  }
}
