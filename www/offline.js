// Has the browser keep the page (sw.js), so that it opens without a network, and says when a newer version waits.

const UPDATE_EVERY_MS = 3_600_000;
const scope = new URL("../", import.meta.url);
const words = document.getElementById("version");

if ("serviceWorker" in navigator) {
  addEventListener("load", keep, { once: true });
  // A page of one version must not go on with files of another: it starts over.
  const { serviceWorker } = navigator;
  if (serviceWorker.controller) serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
}

async function keep() {
  try {
    const kept = await navigator.serviceWorker.register(new URL("sw.js", scope), { updateViaCache: "none" });
    kept.addEventListener("updatefound", () => follow(kept, kept.installing));
    if (kept.waiting) {
      // More than once: the page that was loaded before in the same tab may count for a moment longer.
      for (const pause of [0, 500, 2000]) setTimeout(() => kept.waiting?.postMessage("take over if alone"), pause);
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

function follow(kept, worker) {
  worker.addEventListener("statechange", () => {
    if (worker.state === "installed" && kept.active) tell();
  });
}

function tell() {
  if (words) words.textContent = "A newer version is ready. Close this page in every tab to use it.";
}
