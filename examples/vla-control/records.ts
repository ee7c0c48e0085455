/** The records of the control loop. All plain: pixels are named, never carried. */
import type { FrameHandle } from '@millrace/connectors/video'

/** What the camera branch takes in: a frame whose pixels are here, or features that somebody else has made of one. */
export type VisionRecord = FrameRecord | FeatureRecord

export interface FrameRecord {
  readonly robot: string
  /** When the frame was meant to be exposed, ms since the epoch. */
  readonly at: number
  /** Where the pixels are: in a frame pool of this process. */
  readonly frame: FrameHandle
}

export interface FeatureRecord {
  readonly robot: string
  readonly at: number
  readonly features: Features
}

/** What is seen in a frame; how each is computed stands in features.ts. Positions are 0..1 from the left and the top. */
export interface Features {
  readonly x: number
  readonly y: number
  /** Share of the frame that is bright. */
  readonly size: number
  /** 0..1: is there one bright thing that stands out? */
  readonly confidence: number
  /** 0..1: how much the frame differs from the one before it. */
  readonly motion: number
  /** Share of the pixels per quarter of the range: four of red, four of green, four of blue. */
  readonly colours: readonly number[]
}

/** A frame with what is seen in it, on its way to the fusion. */
export interface Seen extends FeatureRecord {
  /** For those who want to look again, while the pool has it. Absent when the features came without pixels. */
  readonly frame?: FrameHandle
}

/** One value of one sensor. */
export interface SensorRecord {
  readonly robot: string
  readonly at: number
  readonly sensor: string
  readonly value: number
}

/** The last value of each sensor, as of `at`. */
export interface Pose {
  readonly robot: string
  readonly at: number
  readonly values: Readonly<Record<string, number>>
}

/** What was said. */
export interface WordRecord {
  readonly robot: string
  /** When the words ended. */
  readonly at: number
  readonly text: string
}

/** All that is known at the time of a frame. */
export interface Situation {
  readonly robot: string
  /** Of the frame. */
  readonly at: number
  readonly seen: Features
  /** The pose at most 50 ms before the frame; undefined when the sensors are silent or too late. */
  readonly pose: Pose | undefined
  /** The last words, however long ago; undefined before the first. */
  readonly word: WordRecord | undefined
}

export interface Action {
  readonly robot: string
  /** Time of the frame it answers; of the clock, when there was none. */
  readonly at: number
  readonly action: string
  /** Who decided: the kind of the action generator, or 'watchdog'. */
  readonly by: string
}
