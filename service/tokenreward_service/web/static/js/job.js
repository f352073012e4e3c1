// One job: live figures, provenance, downloads, and its results as pages of heat maps. Or that there is no such job.

import { call, explain } from "./api.js";
import { el, setText } from "./dom.js";
import { follow, isOver, pause } from "./follow.js";
import { count, duration, moment } from "./format.js";
import { jobActions, nameOf, progress, speed, stateTag } from "./jobparts.js";
import { provenance } from "./provenance.js";
import { resultsPager } from "./results.js";
import { save } from "./save.js";
import { trust } from "./trust.js";

const AGAIN_MS = 2000;

export function jobView(section) {
  let open = null;
  let shown = null;

  function enter([id], query) {
    if (shown?.id === id) return shown.pager.go(query);
    leave();
    open = new AbortController();
    shown = page(id, open.signal, query, () => section.replaceChildren(nothing(id)));
    section.replaceChildren(shown.node);
    return undefined;
  }
  function leave() {
    open?.abort();
    shown = null;
  }
  return { enter, leave };
}

/** What stands in place of a job that is not there. */
function nothing(id) {
  return el(
    "div",
    { class: "welcome" },
    el("h1", {}, "No such job"),
    el("p", { role: "alert" }, "There is no job ", el("code", {}, id.slice(0, 40)), " here. It may have been deleted, it may have expired, or it belongs to another API key."),
    el("p", {}, el("a", { href: "#/jobs" }, "All jobs that are here")),
  );
}

function page(id, signal, query, gone) {
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const note = el("p", { class: "note", role: "status", hidden: true });
  const title = el("h1", {}, "Job ", el("code", {}, id.slice(0, 8)));
  const state = stateTag();
  const bar = progress();
  const figures = Object.fromEntries(["tokens/s", "time left", "took", "errors", "model", "template", "estimator", "created"].map((name) => [name, el("dd", {}, "–")]));
  const origin = el("div", { class: "origins" });
  const pager = resultsPager(id, signal);
  const downloads = el("div", { class: "row" }, download("NDJSON", "application/x-ndjson", "ndjson"), download("Arrow", "application/vnd.apache.arrow.stream", "arrow"));
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
    el("header", { class: "view-head" }, title, state.node, actions.node),
    error,
    note,
    bar.node,
    el("dl", { class: "figures wrap" }, ...Object.entries(figures).map(([name, dd]) => el("div", {}, el("dt", {}, name), dd))),
    downloads,
    origin,
    pager.node,
  );

  function fail(text) {
    error.hidden = !text;
    setText(error, text);
  }
  function update(job) {
    for (const part of [state, bar, actions]) part.update(job);
    if (job.origin?.name) title.replaceChildren(nameOf(job), " ", el("code", { class: "quiet" }, id.slice(0, 8)));
    const said = job.waiting ? `This job ${job.waiting.message}.` : job.emptied ? "The rows were written to their file, and the service has removed its copy. This record stays for as long as the service keeps finished jobs." : "";
    note.hidden = !said;
    setText(note, said);
    const over = isOver(job);
    const took = over && job.started_at ? duration(job.finished_at - job.started_at) : "–";
    const values = { "tokens/s": speed(job).replace("/s", ""), "time left": duration(job.eta_seconds), took, errors: count(job.failed_items), model: job.model, template: job.template, estimator: job.estimator, created: moment(job.created_at) };
    for (const [name, value] of Object.entries(values)) setText(figures[name], value);
    figures["time left"].parentElement.hidden = over;
    figures.took.parentElement.hidden = !over;
    const models = [job.provenance, ...(job.provenance.models ?? [])].map((use) => use.fingerprint_digest).join();
    if (origin.dataset.of !== models) origin.replaceChildren(trust(job.provenance), provenance(job.provenance));
    origin.dataset.of = models;
    downloads.hidden = pager.node.hidden = job.emptied;
    if (!job.emptied) pager.update(job);
  }
  async function live() {
    watch.stop?.abort();
    const mine = (watch.stop = new AbortController());
    signal.addEventListener("abort", () => mine.abort());
    while (!mine.signal.aborted) {
      try {
        for await (const job of follow(id, mine.signal)) (fail(""), update(job));
        return;
      } catch (trouble) {
        if (mine.signal.aborted) return;
        if (trouble.status === 404) return gone();
        fail(explain(trouble));
        if (trouble.status === 401) return;
        await pause(AGAIN_MS, mine.signal);
      }
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
