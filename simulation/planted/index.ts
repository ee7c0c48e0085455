/** The planted bugs. Every one must be found by the simulator within its first seeds. */
import type { PlantedBug } from './bug.ts'
import {
  ignoreFullDisk,
  renameBeforeSync,
  skipChecksum,
  skipFolderSync,
  skipLogSync,
  skipOutputSync,
  skipTruncate,
} from './disk-bugs.ts'
import { publishBeforeDecision, publishTwice, skipPublishOnStart } from './sink-bugs.ts'
import { positionTooEarly, positionTooLate, wrongWatermarkMerge } from './source-bugs.ts'
import { callsNotSaved, dropTimersOnRestore, lostLogSection, watermarkTooEarly } from './step-bugs.ts'

export const plantedBugs: readonly PlantedBug[] = [
  skipLogSync,
  skipOutputSync,
  renameBeforeSync,
  skipFolderSync,
  skipTruncate,
  ignoreFullDisk,
  skipChecksum,
  positionTooEarly,
  positionTooLate,
  wrongWatermarkMerge,
  lostLogSection,
  dropTimersOnRestore,
  watermarkTooEarly,
  callsNotSaved,
  publishTwice,
  publishBeforeDecision,
  skipPublishOnStart,
]
