/** Looks for a planted bug, seed after seed. */
import { runSeed } from '../run-seed.ts'
import type { PlantedBug } from './bug.ts'

/** Seeds within which every planted bug must be found: those that CI runs. */
export const plantedSeedsMax = 600

/** The first seed whose run fails with the bug and not without it; undefined when there is none. */
export async function findBug(
  bug: PlantedBug,
  seeds: { readonly from?: number; readonly to?: number } = {},
): Promise<{ seed: number; failure: string } | undefined> {
  for (let seed = seeds.from ?? 1; seed <= (seeds.to ?? plantedSeedsMax); seed++) {
    const { failure } = await runSeed(seed, bug.decorate())
    if (failure === undefined) continue
    if ((await runSeed(seed)).failure === undefined) return { seed, failure }
  }
  return undefined
}
