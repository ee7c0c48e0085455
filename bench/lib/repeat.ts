/** Repeats a measurement, one run after the other. */
export async function repeat<R>(times: number, run: () => Promise<R>): Promise<R[]> {
  const runs: R[] = []
  for (let i = 0; i < times; i++) runs.push(await run())
  return runs
}
