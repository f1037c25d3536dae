// Several files as one: a ZIP archive whose entries are stored as they are (PNG files do not shrink).

const UTF8_NAMES = 0x800;
const VERSION = 20; // of the format, that readers need
const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

/** @param {{name: string, time: number, blob: Blob}[]} files `time` in milliseconds, as Date has it @returns {Promise<Blob>} */
export async function zip(files) {
  const parts = [];
  const directory = [];
  let at = 0;
  for (const { name, time, blob } of files) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const path = new TextEncoder().encode(name);
    const [clock, day] = dosTime(new Date(time));
    const shared = [VERSION, UTF8_NAMES, 0, clock, day].map(u16);
    const sizes = [u32(crc32(bytes)), u32(bytes.length), u32(bytes.length), u16(path.length), u16(0)];
    const local = [u32(0x04034b50), ...shared, ...sizes, path, blob];
    // No comment, disk 0, no attributes; then where the entry lies.
    directory.push(u32(0x02014b50), u16(VERSION), ...shared, ...sizes, ...[0, 0, 0].map(u16), u32(0), u32(at), path);
    parts.push(...local);
    at += length(local);
  }
  const count = u16(files.length);
  const end = [u32(0x06054b50), u16(0), u16(0), count, count, u32(length(directory)), u32(at), u16(0)];
  return new Blob([...parts, ...directory, ...end], { type: "application/zip" });
}

function length(parts) {
  return parts.reduce((sum, part) => sum + (part.size ?? part.length), 0);
}

function u16(value) {
  return Uint8Array.of(value, value >>> 8);
}

function u32(value) {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}

/** Time of day and day, as the format has them: two seconds, minutes, hours; day, month, years since 1980. */
function dosTime(date) {
  const clock = (date.getSeconds() >> 1) | (date.getMinutes() << 5) | (date.getHours() << 11);
  return [clock, date.getDate() | ((date.getMonth() + 1) << 5) | ((date.getFullYear() - 1980) << 9)];
}

function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC[(crc ^ byte) & 255];
  return ~crc;
}
