/** What this process takes of its machine, for the lists of a gateway. */
export function newLoadMeter(): () => { readonly cpu: number; readonly memoryBytes: number } {
  let usedUs = process.cpuUsage()
  let atMs = performance.now()
  return () => {
    const now = performance.now()
    const { user, system } = process.cpuUsage(usedUs)
    // Of one processor: four threads that compute are 4.
    const cpu = now > atMs ? (user + system) / 1000 / (now - atMs) : 0
    usedUs = process.cpuUsage()
    atMs = now
    return { cpu: Math.round(cpu * 1000) / 1000, memoryBytes: process.memoryUsage.rss() }
  }
}
