// The matrix product on WebGPU, in two kernels. Rows go in stripes, so that no buffer is larger than WebGPU promises.

const MOST_BYTES = 128 * 1024 * 1024;

// cell: multiply-webgpu-naive
/** One invocation for each number of the result; each reads its whole row and column from the card's memory. */
const NAIVE = /* wgsl */ `
  @group(0) @binding(0) var<storage, read> a: array<f32>;
  @group(0) @binding(1) var<storage, read> b: array<f32>;
  @group(0) @binding(2) var<storage, read_write> out: array<f32>;
  @group(0) @binding(3) var<uniform> size: vec4u; // rows, inner, columns

  @compute @workgroup_size(16, 16)
  fn main(@builtin(global_invocation_id) id: vec3u) {
    let row = id.y; let column = id.x;
    if (row >= size.x || column >= size.z) { return; }
    var sum = 0.0;
    for (var k = 0u; k < size.y; k++) {
      sum += a[row * size.y + k] * b[k * size.z + column];
    }
    out[row * size.z + column] = sum;
  }`;
// end

// cell: multiply-webgpu-tiled
/** 256 invocations fetch two tiles of 16 x 16 together and share them: each number is fetched 16 times less often. */
const TILED = /* wgsl */ `
  @group(0) @binding(0) var<storage, read> a: array<f32>;
  @group(0) @binding(1) var<storage, read> b: array<f32>;
  @group(0) @binding(2) var<storage, read_write> out: array<f32>;
  @group(0) @binding(3) var<uniform> size: vec4u; // rows, inner, columns
  var<workgroup> tile_a: array<array<f32, 16>, 16>;
  var<workgroup> tile_b: array<array<f32, 16>, 16>;

  @compute @workgroup_size(16, 16)
  fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_id) local: vec3u) {
    let row = id.y; let column = id.x;
    var sum = 0.0;
    for (var start = 0u; start < size.y; start += 16u) {
      let k_a = start + local.x;
      let k_b = start + local.y;
      tile_a[local.y][local.x] = select(0.0, a[row * size.y + k_a], row < size.x && k_a < size.y);
      tile_b[local.y][local.x] = select(0.0, b[k_b * size.z + column], column < size.z && k_b < size.y);
      workgroupBarrier();
      for (var k = 0u; k < 16u; k++) {
        sum += tile_a[local.y][k] * tile_b[k][local.x];
      }
      workgroupBarrier();
    }
    if (row < size.x && column < size.z) { out[row * size.z + column] = sum; }
  }`;
// end

let device; // a promise, once asked for

/**
 * `{ run, read, free }` for a x b, sizes [rows, inner, columns]: `run` multiplies once and waits for the card, `read`
 * brings the result. A string where there is no WebGPU: why.
 */
export async function multiplyOnGpu(kernel, a, b, [rows, inner, columns]) {
  device ??= askForDevice();
  const card = await device;
  if (typeof card === "string") return card;
  const most = Math.floor(MOST_BYTES / 4 / Math.max(inner, columns));
  if (most === 0 || b.byteLength > MOST_BYTES) return "these matrices are larger than a buffer of WebGPU";
  const code = kernel === "naive" ? NAIVE : TILED;
  const module = card.createShaderModule({ code });
  const pipeline = await card.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
  const buffers = [];
  const filled = (values, usage) => {
    const buffer = card.createBuffer({ size: values.byteLength, usage: usage | GPUBufferUsage.COPY_DST });
    card.queue.writeBuffer(buffer, 0, values);
    buffers.push(buffer);
    return buffer;
  };
  const right = filled(b, GPUBufferUsage.STORAGE);
  const stripes = [];
  for (let from = 0; from < rows; from += Math.min(most, 65535 * 16)) {
    const count = Math.min(most, 65535 * 16, rows - from);
    const left = filled(a.subarray(from * inner, (from + count) * inner), GPUBufferUsage.STORAGE);
    const out = card.createBuffer({ size: count * columns * 4, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
    buffers.push(out);
    const size = filled(Uint32Array.of(count, inner, columns, 0), GPUBufferUsage.UNIFORM);
    const entries = [left, right, out, size].map((buffer, binding) => ({ binding, resource: { buffer } }));
    stripes.push({ count, out, group: card.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }) });
  }
  return {
    async run() {
      const encoder = card.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      for (const { count, group } of stripes) {
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(Math.ceil(columns / 16), Math.ceil(count / 16));
      }
      pass.end();
      card.queue.submit([encoder.finish()]);
      await card.queue.onSubmittedWorkDone();
    },
    async read() {
      const result = new Float32Array(rows * columns);
      let at = 0;
      for (const { count, out } of stripes) {
        const size = count * columns * 4;
        const copy = card.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
        const encoder = card.createCommandEncoder();
        encoder.copyBufferToBuffer(out, 0, copy, 0, size);
        card.queue.submit([encoder.finish()]);
        await copy.mapAsync(GPUMapMode.READ);
        result.set(new Float32Array(copy.getMappedRange()), at);
        at += count * columns;
        copy.destroy();
      }
      return result;
    },
    free: () => buffers.forEach((buffer) => buffer.destroy()),
  };
}

async function askForDevice() {
  if (!navigator.gpu) return "this browser has no WebGPU";
  const adapter = await navigator.gpu.requestAdapter();
  return adapter ? adapter.requestDevice() : "the browser offers no graphics card";
}
