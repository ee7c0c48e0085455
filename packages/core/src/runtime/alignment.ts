/** Slots in which the sources of a run publish their watermarks, so that none runs far ahead of the others. */
import type { Alignment } from './source-input.ts'

/**
 * @param slots one Float64 per source and worker, NaN where nothing is active. Readers in other threads may see a value
 *   a moment late, which only delays or shortens a pause.
 */
export function alignmentOver(slots: Float64Array): Alignment {
  return {
    publish(slot, watermark) {
      slots[slot] = watermark
    },
    slowest() {
      let slowest = Number.POSITIVE_INFINITY
      for (let i = 0; i < slots.length; i++) if (slots[i] < slowest) slowest = slots[i]
      return slowest
    },
  }
}
