// The service, seen from the page: requests with the tab's key, problems (RFC 9457) as errors, streams as iterators.

import { askForKey, key } from "./key.js";

/** Where the service is, without a slash at the end: this file is `web/js/api.js` of it, whatever path a proxy puts before. */
export const base = new URL("../..", import.meta.url).href.replace(/\/$/, "");

export class ApiError extends Error {
  constructor(status, problem) {
    const pointed = (problem.errors ?? []).map((e) => (e.detail === problem.detail ? "" : `${e.pointer}: ${e.detail}`));
    super([problem.title, problem.detail, ...pointed].filter(Boolean).join(". ").replace(/\.\. /g, ". "));
    this.status = status;
    this.problem = problem;
  }
}

const WHY = "This service asks for a key. It stays in this tab and is forgotten when the tab closes.";

/**
 * A Response that is ok. A 401 asks for the key and tries again, unless `quiet` (what nobody pressed must not ask), or
 * somebody was asked and gave none while this was under way.
 * Raises ApiError; a TypeError means unreachable.
 */
export async function call(path, { method = "GET", json, body, headers = {}, signal, quiet = false } = {}) {
  for (;;) {
    const used = key.get();
    const dismissed = key.dismissed();
    const response = await fetch(base + path, {
      method,
      signal,
      credentials: "omit",
      headers: {
        ...headers,
        ...(used ? { Authorization: `Bearer ${used}` } : {}),
        ...(json === undefined ? {} : { "Content-Type": "application/json" }),
      },
      body: json === undefined ? body : JSON.stringify(json),
    });
    if (response.ok) return response;
    if (response.status === 401 && !quiet && key.dismissed() === dismissed) {
      if (key.get() !== used) continue; // another request has asked meanwhile
      if (await askForKey(used ? "The service does not accept this key. Try another one." : WHY)) continue;
    }
    throw new ApiError(response.status, await problemOf(response));
  }
}

export const get = async (path, options) => (await call(path, options)).json();
export const post = async (path, json, options) => (await call(path, { method: "POST", json, ...options })).json();

/** The records of an NDJSON response, one by one. Ending the iteration early ends the request. */
export async function* records(response) {
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) if (line) yield JSON.parse(line);
    }
    if (rest.trim()) yield JSON.parse(rest);
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** What to tell a person about an error. */
export function explain(error) {
  if (error instanceof ApiError) return error.message;
  if (error instanceof TypeError) return "The service cannot be reached.";
  return String(error.message ?? error);
}

async function problemOf(response) {
  try {
    return await response.json();
  } catch {
    return { title: `HTTP ${response.status}` };
  }
}
