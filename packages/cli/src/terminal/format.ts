/** Numbers for people: three significant digits and always a unit. SI for counts, IEC for bytes. */

const SI = ['', ' k', ' M', ' G', ' T']

/** @example formatCount(41_234) // => '41.2 k' */
export function formatCount(n: number): string {
  return scaled(n, 1000, SI)
}

/** @example formatRate(812.4) // => '812/s' */
export function formatRate(perSecond: number): string {
  return `${formatCount(perSecond)}/s`
}

/** @example formatBytes(19_084_083) // => '18.2 MiB' */
export function formatBytes(n: number): string {
  return scaled(n, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB'])
}

/** Whole numbers in full, for reports. @example formatExact(1_234_567) // => '1,234,567' */
export function formatExact(n: number): string {
  return String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, ',')
}

/** @example formatDuration(190_000) // => '3 min 10 s' */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return 'for ever'
  if (ms < 0) return `-${formatDuration(-ms)}`
  if (ms < 999.5) return `${digits(ms)} ms`
  if (ms < 59_950) return `${digits(ms / 1000)} s`
  const minutes = Math.round(ms / 1000)
  if (minutes < 3600) return pair(minutes, 60, 'min', 's')
  if (minutes < 86_400) return pair(Math.round(minutes / 60), 60, 'h', 'min')
  return pair(Math.round(minutes / 3600), 24, 'd', 'h')
}

/** Time left, without false precision. @example formatLeft(187_000) // => 'about 3 min' */
export function formatLeft(ms: number): string {
  const s = ms / 1000
  if (s < 1) return 'less than 1 s'
  if (s < 60) return `about ${Math.round(s)} s`
  if (s < 3600) return `about ${Math.round(s / 60)} min`
  return s < 172_800 ? `about ${Math.round(s / 3600)} h` : `about ${Math.round(s / 86_400)} d`
}

/** Age, in whole units: it moves every second. @example formatAge(130_000) // => '2 min' */
export function formatAge(ms: number): string {
  const s = Math.max(0, ms) / 1000
  if (s < 9.95) return `${s.toFixed(1)} s`
  if (s < 120) return `${Math.round(s)} s`
  if (s < 7200) return `${Math.round(s / 60)} min`
  return s < 172_800 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86_400)} d`
}

/** @example formatPercent(0.456) // => '46 %' */
export function formatPercent(share: number): string {
  const percent = share * 100
  if (share > 0 && percent < 9.95) return `${percent.toFixed(1)} %`
  // Not quite everything is never 100 %.
  return `${share < 1 ? Math.min(99, Math.round(percent)) : 100} %`
}

/** Time of day in UTC. */
export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(11, 19)}Z`
}

/** Event time: a date where it is one. */
export function formatEventTime(ms: number): string {
  if (!(Math.abs(ms) <= 8.64e15)) return `${ms}`
  return Math.abs(ms) < 86_400_000 * 365
    ? `${formatCount(ms)} ms`
    : `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')}Z`
}

function scaled(n: number, base: number, units: readonly string[]): string {
  if (n < 0) return `-${scaled(-n, base, units)}`
  let value = n
  let i = 0
  while (i < units.length - 1 && value >= base * 0.9995) {
    value /= base
    i++
  }
  return `${i === 0 && Number.isInteger(value) ? value : digits(value)}${units[i]}`
}

function digits(value: number): string {
  if (value >= 99.95) return value.toFixed(0)
  if (value >= 9.995) return value.toFixed(1)
  return value === 0 ? '0' : value.toFixed(2)
}

function pair(total: number, base: number, large: string, small: string): string {
  const rest = total % base
  return rest === 0 ? `${Math.floor(total / base)} ${large}` : `${Math.floor(total / base)} ${large} ${rest} ${small}`
}
