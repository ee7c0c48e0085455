/** A node that no case touches. */
export default { echo: (value: unknown) => value }
