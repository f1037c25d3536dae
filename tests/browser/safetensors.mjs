// Reads the golden file of the view "How it works".

/** Tensors of a safetensors file by name: `{ shape, values }`. */
export function safetensors(bytes) {
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + length));
  return (name) => {
    const {
      dtype,
      shape,
      data_offsets: [from, to],
    } = header[name];
    const data = bytes.subarray(8 + length + from, 8 + length + to);
    const half = (bits) => {
      const [sign, exponent, part] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
      return sign * (exponent ? 2 ** (exponent - 15) * (1 + part / 1024) : 2 ** -24 * part);
    };
    const size = dtype === "F16" ? 2 : 4;
    const read = (i) => (size === 2 ? half(data.readUInt16LE(2 * i)) : data.readFloatLE(4 * i));
    return { shape, values: Array.from({ length: data.length / size }, (_, i) => read(i)) };
  };
}
