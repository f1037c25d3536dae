// What www/ uses and TypeScript's own libraries do not declare; `./build.sh lint` reads it.

/** The wasm modules' exports, src/web and how/. wasm-bindgen writes these files when the page is built. */
declare module "*/pkg/fourstep.js";
declare module "*/pkg/fourstep_deeper.js";
declare module "*/pkg/fourstep_how.js";

// tools/pack.mjs writes these above sw.js: the version, and each file's path and SHA-256.
declare const VERSION: string;
declare const SHELL: Record<string, string>;
declare const VIEW: Record<string, string>;

// WebGPU, as far as the page asks for it by itself.
interface GPU {
  requestAdapter(options?: object): Promise<GPUAdapter | null>;
}
declare class GPUAdapter {
  readonly info?: GPUAdapterInfo;
  readonly isFallbackAdapter?: boolean;
  readonly limits: Record<string, number>;
  requestDevice(descriptor?: object): Promise<GPUDevice>;
}
interface GPUAdapterInfo {
  readonly vendor?: string;
  readonly architecture?: string;
  readonly device?: string;
  readonly description?: string;
  readonly isFallbackAdapter?: boolean;
}
interface GPUDevice extends EventTarget {
  readonly lost: Promise<{ message: string; reason: string }>;
  /** Buffers, pipelines and queues, for www/how/gpu.js. */
  [name: string]: any;
}
declare const GPUBufferUsage: Record<string, number>;
declare const GPUMapMode: Record<string, number>;
declare class GPUOutOfMemoryError {
  readonly message: string;
}
interface Navigator {
  readonly gpu?: GPU;
  readonly deviceMemory?: number;
}
interface WorkerNavigator {
  readonly gpu?: GPU;
  readonly deviceMemory?: number;
}
