// One job: live figures, provenance, downloads, and its results as pages of heat maps.

import { call, explain } from "./api.js";
import { el, setText } from "./dom.js";
import { follow } from "./follow.js";
import { count, moment } from "./format.js";
import { jobActions, progress, speed, stateTag, timeLeft } from "./jobparts.js";
import { provenance } from "./provenance.js";
import { resultsPager } from "./results.js";

export function jobView(section) {
  let open = null;
  let shown = null;

  function enter([id], query) {
    if (shown?.id === id) return shown.pager.go(query);
    leave();
    open = new AbortController();
    shown = page(id, open.signal, query);
    section.replaceChildren(shown.node);
    return undefined;
  }
  function leave() {
    open?.abort();
    shown = null;
  }
  return { enter, leave };
}

function page(id, signal, query) {
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const waits = el("p", { class: "note", role: "status", hidden: true });
  const state = stateTag();
  const bar = progress();
  const figures = Object.fromEntries(["tokens/s", "time left", "errors", "model", "template", "estimator", "created"].map((name) => [name, el("dd", {}, "–")]));
  const origin = el("div");
  const pager = resultsPager(id, signal);
  const watch = { stop: null };
  const actions = jobActions(
    (job) => {
      if (job === null) location.hash = "#/jobs";
      else (update(job), live());
    },
    (text) => fail(text),
  );
  const node = el(
    "div",
    {},
    el("p", { class: "crumbs" }, el("a", { href: "#/jobs" }, "← All jobs")),
    el("header", { class: "view-head" }, el("h1", {}, "Job ", el("code", {}, id.slice(0, 8))), state.node, actions.node),
    error,
    waits,
    bar.node,
    el("dl", { class: "figures wrap" }, ...Object.entries(figures).map(([name, dd]) => el("div", {}, el("dt", {}, name), dd))),
    el("div", { class: "row" }, download("NDJSON", "application/x-ndjson", "ndjson"), download("Arrow", "application/vnd.apache.arrow.stream", "arrow")),
    origin,
    pager.node,
  );

  function fail(text) {
    error.hidden = !text;
    setText(error, text);
  }
  function update(job) {
    for (const part of [state, bar, actions]) part.update(job);
    waits.hidden = !job.waiting;
    setText(waits, job.waiting ? `This job ${job.waiting.message}.` : "");
    const values = { "tokens/s": speed(job).replace("/s", ""), "time left": timeLeft(job), errors: count(job.failed_items), model: job.model, template: job.template, estimator: job.estimator, created: moment(job.created_at) };
    for (const [name, value] of Object.entries(values)) setText(figures[name], value);
    if (origin.dataset.of !== job.provenance.fingerprint_digest) origin.replaceChildren(provenance(job.provenance));
    origin.dataset.of = job.provenance.fingerprint_digest;
    pager.update(job);
  }
  async function live() {
    watch.stop?.abort();
    watch.stop = new AbortController();
    signal.addEventListener("abort", () => watch.stop.abort());
    try {
      for await (const job of follow(id, watch.stop.signal)) update(job);
    } catch (trouble) {
      if (!watch.stop.signal.aborted) fail(explain(trouble));
    }
  }
  function download(name, type, suffix) {
    return el(
      "button",
      {
        type: "button",
        onclick: async () => {
          try {
            const response = await call(`/v1/jobs/${encodeURIComponent(id)}/results`, { headers: { Accept: type } });
            if (!response.headers.get("content-type")?.startsWith(type)) throw new Error(`This service does not answer in ${name}.`);
            save(await response.blob(), `tokenreward-${id.slice(0, 8)}.${suffix}`);
            fail("");
          } catch (trouble) {
            fail(explain(trouble));
          }
        },
      },
      `Download ${name}`,
    );
  }
  pager.go(query);
  live();
  return { id, node, pager };
}

function save(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
