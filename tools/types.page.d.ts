// For the modules that both the page and its worker import: what only the worker has and only the worker calls.

declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}
