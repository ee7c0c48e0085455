/** Video by reference: frames in shared memory, from files, cameras and functions: `@millrace/connectors/video`. */
export { findFfmpeg } from './ffmpeg.ts'
export {
  type FrameDraft,
  type FrameHandle,
  type FramePool,
  type FramePoolOptions,
  type FramePoolStats,
  framePool,
} from './frame-pool.ts'
export { type GeneratedVideoOptions, generatedVideo } from './generated-video.ts'
export { type VideoOptions, video } from './video.ts'
export type { ClockOptions, VideoFrame } from './video-frame.ts'
