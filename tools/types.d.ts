// What www/ uses and TypeScript's own libraries do not declare; `./build.sh lint` reads it.

/** The wasm module's exports: src/web. wasm-bindgen writes the file when the page is built. */
declare module "*/pkg/fourstep.js";

// tools/pack.mjs writes these above sw.js.
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
}
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
