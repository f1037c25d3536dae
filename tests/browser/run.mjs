// Runs the browser tests: `node tests/browser/run.mjs [part of a file's name ...]`. One line a test, the count last.
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "node:test";
import { fileURLToPath } from "node:url";

const FILE_LIMIT_MS = 30 * 60_000;
const SUMMARY = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/; // node's own count

const here = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(here)
  .filter((name) => name.endsWith(".test.mjs") && (wanted.length === 0 || wanted.some((part) => name.includes(part))))
  .sort()
  .map((name) => join(here, name));

if (files.length === 0) {
  console.error(`No browser test matches ${wanted.join(", ") || "*.test.mjs"} in tests/browser`);
  process.exit(1);
}

const counts = await report(run({ files, concurrency: 2, timeout: FILE_LIMIT_MS }));
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
console.log(`${counts.passed} passed, ${counts.failed} failed${skipped}`);
process.exit(counts.failed > 0 || counts.passed === 0 ? 1 : 0);

/** Prints each result as it comes and counts them. A file that cannot be loaded counts as one failure. */
async function report(events) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for await (const { type, data } of events) {
    if (type === "test:stdout" || type === "test:stderr") process.stdout.write(data.message);
    if (type === "test:diagnostic" && !SUMMARY.test(data.message)) console.log(`  ${data.message}`);
    if (type !== "test:pass" && type !== "test:fail") continue;
    if (files.includes(data.name) && type === "test:pass") continue;
    const seconds = `${(data.details.duration_ms / 1000).toFixed(1)} s`;
    if (data.skip !== undefined) {
      counts.skipped += 1;
      console.log(`skipped: ${data.name} (${data.skip})`);
    } else if (type === "test:pass") {
      counts.passed += 1;
      console.log(`ok: ${data.name} (${seconds})`);
    } else {
      counts.failed += 1;
      const error = data.details.error?.cause ?? data.details.error;
      console.log(`FAILED: ${data.name} (${seconds})\n${error?.message ?? error}`);
    }
  }
  return counts;
}
