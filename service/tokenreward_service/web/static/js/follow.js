// A job's snapshots as they change: server-sent events read with fetch (EventSource cannot send a key), else polling.

import { ApiError, call, get } from "./api.js";

const TERMINAL = new Set(["succeeded", "cancelled"]);
const POLL_MS = 700;

export const isOver = (job) => TERMINAL.has(job.state);

/** Snapshots of a job until it is over (that one included) or `signal` aborts. Versions only grow. */
export async function* follow(id, signal) {
  let version = -1;
  let waiting;
  let streams = true;
  // Workers that come and go change what a job waits for, and not its version.
  const newer = (job) => {
    const message = job.waiting?.message;
    if (job.version < version || (job.version === version && message === waiting)) return false;
    [version, waiting] = [job.version, message];
    return true;
  };
  while (!signal.aborted) {
    try {
      if (streams) {
        for await (const job of events(id, signal)) {
          if (!newer(job)) continue;
          yield job;
          if (isOver(job)) return;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && [404, 405, 406].includes(error.status)) streams = false; // no such route
    }
    if (signal.aborted) return;
    const job = await get(`/v1/jobs/${encodeURIComponent(id)}`, { signal });
    if (newer(job)) yield job;
    if (isOver(job)) return;
    await pause(POLL_MS, signal);
  }
}

async function* events(id, signal) {
  const response = await call(`/v1/jobs/${encodeURIComponent(id)}/events`, {
    headers: { Accept: "text/event-stream" },
    signal,
  });
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) throw new ApiError(406, {});
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split(/\r\n\r\n|\n\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const data = block.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
        if (!data.length) continue; // a comment that keeps the line open
        const job = JSON.parse(data.join("\n"));
        if (job.state) yield job;
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Resolves after `ms`, or at once when `signal` aborts. */
export function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
