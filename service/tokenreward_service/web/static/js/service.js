// What the service is doing: connecting, locked (no key), away, loading, ready or busy. Asked again and again, told to all.

import { get } from "./api.js";
import { several } from "./format.js";

const SETTLED_MS = 5000;
const UNSETTLED_MS = 1500;
const listeners = new Set();
let timer = 0;

/** The last look: `state`, and the live `workers`. */
export const service = { state: "connecting", workers: [] };

/** Whether an answer can be expected from it now. */
export const served = () => service.state === "ready" || service.state === "busy";

/** What each state is called beside the dot in the header. */
export function stateWords() {
  const workers = several(service.workers.length, "worker");
  return { connecting: "connecting…", locked: "no key", away: "service away", loading: "no worker yet", ready: workers, busy: `${workers}, busy` }[service.state];
}

/** What to tell a person who waits; empty where nobody has to. */
export function stateSentence() {
  if (service.state === "away") return "The service does not answer. This page goes on as soon as it does.";
  if (service.state === "loading") return "No worker is ready yet. A service that has just started loads its model first; this page goes on by itself. If you run workers apart, start one with `tokenreward worker`.";
  return "";
}

/** Calls `told(service, before)` after every look; returns what ends that. */
export function watchService(told) {
  listeners.add(told);
  return () => listeners.delete(told);
}

/** Resolves once a worker is there, or rejects when `signal` aborts. */
export function untilServed(signal) {
  if (served()) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const stop = watchService(() => served() && (stop(), resolve()));
    signal.addEventListener("abort", () => (stop(), reject(signal.reason)), { once: true });
  });
}

/** Looks now, and from then on every few seconds while the page is visible. */
export async function look() {
  clearTimeout(timer);
  const before = service.state;
  if (document.visibilityState === "visible") {
    Object.assign(service, await seen());
    for (const told of [...listeners]) told(service, before);
  }
  clearTimeout(timer); // another look may have begun meanwhile
  timer = setTimeout(look, served() ? SETTLED_MS : UNSETTLED_MS);
}

async function seen() {
  try {
    const { workers } = await get("/v1/workers", { quiet: true });
    if (!workers.length) return { state: "loading", workers };
    return { state: workers.every((worker) => worker.shards.length > 0) ? "busy" : "ready", workers };
  } catch (error) {
    return { state: error.status === 401 ? "locked" : "away", workers: [] };
  }
}
