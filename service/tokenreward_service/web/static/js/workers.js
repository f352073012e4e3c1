// Who is alive, what they hold, how busy they are and what their engines did; and the models that are or were served.

import { explain, get } from "./api.js";
import { el, setText } from "./dom.js";
import { pause } from "./follow.js";
import { ago, count, rate, share } from "./format.js";

const POLL_MS = 2000;

export function workersView(section) {
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const workers = table("Workers", ["Worker", "Model", "Busy", "Tokens", "Holds", "Items done", "Cache hits", "Restarts", "Up since"]);
  const engines = table("Engines", ["Worker", "Tokens read", "Prefix cache", "Scored twice", "Steps", "Preemptions", "Peak FLOPs"]);
  const models = table("Models", ["Model", "Workers", "Engine", "Longest", "Fingerprint", "Weights", "Tokenizer"]);
  section.append(el("header", { class: "view-head" }, el("h1", {}, "Workers")), error, workers.node, el("h2", {}, "Engines"), engines.node, el("h2", {}, "Models"), models.node);
  let open = null;

  async function refresh(signal) {
    const [alive, served] = await Promise.all([get("/v1/workers", { signal }), get("/v1/models", { signal })]);
    workers.fill(alive.workers.map(workerCells), "No worker is alive. `tokenreward worker` starts one.");
    engines.fill(alive.workers.map(engineCells), "No engine is alive.");
    models.fill(served.models.map(modelCells), "No model has been served yet.");
  }
  async function watch(signal) {
    while (!signal.aborted) {
      try {
        if (document.visibilityState === "visible") await refresh(signal);
        error.hidden = true;
      } catch (problem) {
        if (signal.aborted) return;
        error.hidden = false;
        setText(error, explain(problem));
        if (problem.status === 401) return;
      }
      await pause(POLL_MS, signal);
    }
  }
  return {
    enter() {
      open?.abort();
      open = new AbortController();
      watch(open.signal);
    },
    leave: () => open?.abort(),
  };
}

function workerCells(worker) {
  return [
    `${worker.host}:${worker.pid}`,
    `${worker.model} · ${worker.engine}`,
    { meter: worker.busy_share, text: share(worker.busy_share) },
    rate(worker.tokens_per_second),
    worker.shards.length ? `${worker.shards.length} shard${worker.shards.length === 1 ? "" : "s"}` : "idle",
    count(worker.items_done),
    count(worker.cache_hits),
    count(worker.engine_restarts),
    ago(worker.started),
  ];
}

/** What an engine did, beside what was asked of it: shares are of tokens, branches and the hardware's peak. */
function engineCells(worker) {
  return [
    `${worker.host}:${worker.pid}`,
    count(worker.computed_tokens),
    ifKnown(worker.prefix_hit_share),
    worker.branches ? share(worker.rescored_branches / worker.branches) : "–",
    count(worker.steps),
    count(worker.preemptions),
    ifKnown(worker.flops_utilisation),
  ];
}

const ifKnown = (x) => (x === null || x === undefined ? "–" : share(x));

function modelCells(model) {
  const { fingerprint } = model;
  return [model.name, model.workers ? String(model.workers) : "none alive", `${fingerprint.engine} ${fingerprint.engine_version} · ${fingerprint.dtype}`, count(model.max_tokens), model.fingerprint_digest, fingerprint.model_hash, fingerprint.tokenizer_hash];
}

/** A table whose rows are written in place, so that nothing moves or loses focus between two looks. */
function table(name, columns) {
  const body = el("tbody");
  const empty = el("p", { class: "quiet", hidden: true });
  const frame = el("table", { "aria-label": name }, el("thead", {}, el("tr", {}, ...columns.map((column) => el("th", { scope: "col" }, column)))), body);
  return {
    node: el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": name }, frame, empty),
    fill(rows, ifNone) {
      frame.hidden = rows.length === 0;
      empty.hidden = rows.length > 0;
      setText(empty, ifNone);
      while (body.rows.length > rows.length) body.lastChild.remove();
      while (body.rows.length < rows.length) body.append(el("tr", {}, ...columns.map((column) => el("td", { "data-name": column }))));
      rows.forEach((cells, r) => cells.forEach((cell, c) => write(body.rows[r].cells[c], cell)));
    },
  };
}

function write(td, cell) {
  if (typeof cell === "string") return setText(td, cell);
  if (!td.firstChild) td.append(el("meter", { min: 0, max: 1, "aria-label": "Busy" }), el("span", { class: "numbers" }));
  td.firstChild.value = cell.meter;
  return setText(td.lastChild, cell.text);
}
