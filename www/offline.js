// Has the browser keep the page (sw.js), so that it opens without a network, and says when a newer version waits.

const UPDATE_EVERY_MS = 3_600_000;
const scope = new URL("../", import.meta.url);
const words = document.getElementById("version");

if ("serviceWorker" in navigator) addEventListener("load", keep, { once: true });

async function keep() {
  try {
    const kept = await navigator.serviceWorker.register(new URL("sw.js", scope), { updateViaCache: "none" });
    kept.addEventListener("updatefound", () => follow(kept, kept.installing));
    if (kept.waiting) {
      reloadWhenReplaced();
      kept.waiting.postMessage("take over if alone");
      tell();
    }
    let last = performance.now();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden || performance.now() - last < UPDATE_EVERY_MS) return;
      last = performance.now();
      kept.update().catch(() => {}); // no network: at another time
    });
  } catch {
    // Storage denied, or a page that is not served over https: it works, but only with a network.
  }
}

// Another tab's reload may bring the new version too: whatever page has a new one in charge starts over with it.
function reloadWhenReplaced() {
  navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
}

function follow(kept, worker) {
  worker.addEventListener("statechange", () => {
    if (worker.state !== "installed" || !kept.active) return;
    reloadWhenReplaced();
    tell();
  });
}

function tell() {
  if (words) words.textContent = "A newer version is here; reload the page, in its last tab, to use it.";
}
