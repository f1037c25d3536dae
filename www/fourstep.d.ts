/** Where a model draws. "auto": WebGPU on a graphics adapter, else the CPU. */
export type Choice = "auto" | "wgpu" | "cpu";

export interface LoadOptions {
  /** An id of models/index.json; the first model there when left out. */
  model?: string;
  device?: Choice;
  onProgress?: (progress: LoadProgress) => void;
  /** Stops the download; what came already is kept for the next time. */
  signal?: AbortSignal;
}

export type LoadProgress =
  | { phase: "files"; loaded: number; total: number; /** As the network went so far. */ secondsLeft: number | null }
  | { phase: "model" };

/** Fetches what is not kept yet, checks it, and builds the model. Rejects with an Error whose message says what to do. */
export function load(options?: LoadOptions): Promise<Model>;

export interface Model {
  readonly device: "wgpu" | "cpu";
  readonly defaults: Defaults;
  /** Draws one picture; requests wait for those before them. An aborted `signal` stops after the running step. */
  generate(request: GenerateOptions): Promise<Image>;
  /** Bytes of memory that the wasm module holds. */
  memory(): Promise<{ wasm: number }>;
  /** Ends the worker and frees its memory. */
  close(): void;
}

export interface Defaults {
  steps: number;
  guidance_scale: number;
  /** Least and largest, of a model that takes the scale as an input. */
  guidance_scale_range?: [number, number];
  width: number;
  height: number;
  sampler: string;
  /** Name and label of each sampler. */
  samplers: [string, string][];
  /** Width and height must be multiples of this. */
  size_multiple: number;
  /** Where the model can edit pictures by words: how far an edit may go, and name and label of each method. */
  edit?: { strength: number; methods: [string, string][] };
}

export interface GenerateOptions {
  prompt: string;
  negativePrompt?: string;
  /** From 0; decimal digits for those beyond 2^53. Random when left out. */
  seed?: number | string;
  steps?: number;
  guidanceScale?: number;
  /** One of `defaults.samplers`. */
  sampler?: string;
  width?: number;
  height?: number;
  /** A picture of `width` x `height` to begin from: image to image. */
  image?: Pixels;
  /** White where `image` is redrawn, black where it is kept, of the same size: inpainting. */
  mask?: Pixels;
  /** How much of `image` is redrawn, 0 to 1; 0.8 when left out, with `mask` 1. */
  strength?: number;
  /** Edits `image` by words: `from` is what it shows, `prompt` what it should show, `strength` how far the edit may go. The
   *  method is one of `defaults.edit.methods`, the first when left out. */
  edit?: { from?: string; method?: string };
  onStep?: (step: Step) => void;
  signal?: AbortSignal;
}

/** Pixels in sRGB, four bytes each, rows from the top: what `new ImageData(rgba, width, height)` takes. */
export interface Pixels {
  width: number;
  height: number;
  rgba: Uint8ClampedArray<ArrayBuffer>;
}

export interface Image extends Pixels {
  seed: number | string;
  /** What the user should know, in plain words: a prompt that was cut, for instance. */
  warnings: string[];
}

export interface Step {
  /** From 0. */
  index: number;
  steps: number;
  timestep: number;
  sigma?: number;
  milliseconds: number;
  /** The picture as this step expects it to become; small, one pixel a latent, where the model has cheap previews. */
  preview: Pixels;
}

/** Why a worker could not go on. */
export const Cause: {
  readonly DEVICE_LOST: "device lost";
  readonly OUT_OF_MEMORY: "out of memory";
  readonly CRASH: "crash";
  readonly GONE: "gone";
  readonly RESTART: "restart";
};

/** The worker ended in the middle of a request; the next request starts a new one. */
export class WorkerDied extends Error {
  readonly cause: (typeof Cause)[keyof typeof Cause];
  /** Whether it ever ran. */
  readonly started: boolean;
}
