/** What travels: the records of both streams, and the answers of the status functions. Their fields are snake_case. */

export type Trend = 'insufficient_data' | 'increasing' | 'decreasing' | 'stable'

/** Of the window; rounded to two digits, ties to even. `std` and `variance` are of the population. */
export interface SensorStatistics {
  readonly mean: number
  readonly std: number
  readonly min: number
  readonly max: number
  readonly trend: Trend
  readonly samples: number
  readonly variance: number
}

export interface SensorRecord {
  /** Local time without a zone. */
  readonly timestamp: string
  /** ms since 1970 with fractions: what a reader of the same machine measures latency from. */
  readonly sampled_at_ms: number
  readonly sample_id: number
  /** Seconds since the stream began at which the sample was due, as the true rate says. */
  readonly elapsed_time: number
  readonly readings: Readonly<Record<string, number>>
  /** Empty for a sensor that has no entry in the configuration. */
  readonly statistics: Readonly<Record<string, SensorStatistics | Readonly<Record<string, never>>>>
  readonly health_status: 'healthy' | 'warning'
  readonly node_id: string
  readonly anomalies?: readonly string[]
  /** Sensors whose reading was made an anomaly on request. */
  readonly injected?: readonly string[]
}

export interface SensorErrorRecord {
  readonly timestamp: string
  readonly error: string
  readonly health_status: 'error'
  readonly node_id: string
}

export interface SensorStatus {
  readonly node_id: string
  readonly status: 'online'
  readonly available_sensors: readonly string[]
  readonly buffer_size: number
  /** Readings in the longest window of each sensor. */
  readonly current_data: Readonly<Record<string, number>>
  readonly capabilities: {
    readonly max_sample_rate: number
    readonly max_duration: number
    readonly real_time_analysis: true
    readonly anomaly_detection: true
  }
  readonly units: Readonly<Record<string, string>>
  readonly active_streams: number
}

export type Runner = 'onnx' | 'packaged' | 'module' | 'simulated'

export interface Prediction {
  readonly class: string
  /** Share among the predictions of this image: they sum to 1. */
  readonly confidence: number
  readonly class_id: number
  /** The model's own figure, a probability or a detection's score; a simulation has none. */
  readonly score?: number
}

export interface Classification {
  readonly predictions: readonly Prediction[]
  readonly top_class: string
  readonly top_confidence: number
  readonly top_score?: number
  readonly model_used: string
  /** Seconds. */
  readonly inference_time: number
  readonly preprocessing_time: number
}

export interface ImageInfo {
  readonly width: number
  readonly height: number
  readonly channels: 3
  readonly format: 'RGB'
  readonly size_bytes: number
  /** Name of the file, or of the generated image. */
  readonly data: string
}

export interface ImageResult {
  readonly image_id: string
  readonly image_info: ImageInfo
  readonly classification: Classification
  readonly timestamp: string
}

export interface ModelInfo {
  /** What ran: never the name of a model that did not. */
  readonly name: string
  readonly requested: string
  readonly runner: Runner
  /** 'cpu', 'cuda', 'wasm'...; 'none' for a simulation. */
  readonly provider: string
  readonly task: string
  /** Of this stream. */
  readonly total_inferences: number
}

/** `simulated` is there, and true, when no model ran. */
interface Simulated {
  readonly simulated?: true
}

export interface BatchRecord extends Simulated {
  readonly batch_id: string
  readonly batch_size: number
  readonly batch_time: number
  readonly throughput: number
  readonly total_processed: number
  readonly progress: number
  readonly results: readonly ImageResult[]
  readonly model_info: ModelInfo
  readonly node_id: string
  readonly status: 'processing'
  readonly overall_throughput: number
  readonly estimated_completion: number
}

export interface FinalRecord extends Simulated {
  readonly batch_id: 'final'
  readonly status: 'completed'
  readonly total_processed: number
  readonly total_time: number
  readonly overall_throughput: number
  readonly model_info: ModelInfo
  readonly node_id: string
}

export interface InferenceErrorRecord extends Simulated {
  readonly batch_id: 'error'
  readonly status: 'error'
  readonly error: string
  readonly total_processed: number
  readonly node_id: string
  readonly timestamp: string
}

export type InferenceRecord = BatchRecord | FinalRecord | InferenceErrorRecord

export interface ModelDetails {
  readonly runs: string
  readonly runner: Runner
  readonly provider: string
  readonly task: string
  readonly classes: number
  readonly input_size: readonly [number, number]
  readonly simulated?: true
  /** Why it is not what was asked for, or not on a GPU. */
  readonly note?: string
}

export interface ModelStatus {
  readonly node_id: string
  readonly status: 'online'
  readonly available_models: readonly string[]
  readonly model_details: Readonly<Record<string, ModelDetails>>
  readonly supported_formats: readonly ['RGB']
  readonly capabilities: {
    readonly max_batch_size: number
    readonly max_images: number
    readonly gpu_acceleration: boolean
    readonly concurrent_streams: number
    readonly image_sizes: readonly (readonly [number, number])[]
  }
  readonly statistics: { readonly total_inferences: number; readonly uptime: number }
}

export interface Benchmark extends Simulated {
  readonly model_name: string
  readonly model_used: string
  readonly num_samples: number
  readonly total_time: number
  readonly avg_inference_time: number
  readonly min_inference_time: number
  readonly max_inference_time: number
  readonly throughput: number
  readonly node_id: string
}
