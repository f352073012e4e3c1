// The list of jobs: one row a job, updated in place while the view is open.

import { explain, get } from "./api.js";
import { el, setText } from "./dom.js";
import { pause } from "./follow.js";
import { ago, count, moment, shortId } from "./format.js";
import { jobActions, nameOf, progress, speed, stateTag, timeOf } from "./jobparts.js";
import { uploadButton } from "./upload.js";

const POLL_MS = 1500;
const PAGE = 50;
const COLUMNS = ["Job", "State", "Progress", "Speed", "Time", "Errors", "Created", "Actions"];

export function jobsView(section) {
  const error = el("p", { class: "error", role: "alert", hidden: true });
  const empty = el("div", { class: "welcome", hidden: true }, el("h2", {}, "No jobs yet"), el("p", {}, "What you label appears here: in the playground, with ", el("code", {}, "tokenreward label"), ", from Python, or from a file that you choose above."));
  const body = el("tbody");
  const table = el("table", { class: "jobs", hidden: true }, el("thead", {}, el("tr", {}, ...COLUMNS.map((name) => el("th", { scope: "col" }, name)))), body);
  const more = el("button", { type: "button", hidden: true, onclick: () => older() }, "Older jobs");
  section.append(el("header", { class: "view-head" }, el("h1", {}, "Jobs"), el("p", { class: "quiet" }, "Newest first, live."), uploadButton()), error, empty, el("div", { class: "wide" }, table), more);

  const rows = new Map();
  let open = null;
  let cursor = null;
  let reachedBack = false;

  function fail(text) {
    error.hidden = !text;
    setText(error, text);
  }
  function put(job, before) {
    let row = rows.get(job.id);
    if (!row) {
      row = jobRow((next) => (next ? row.update(next) : drop(job.id)), fail);
      rows.set(job.id, row);
      body.insertBefore(row.node, before);
    }
    row.update(job);
    return row;
  }
  function drop(id) {
    rows.get(id)?.node.remove();
    rows.delete(id);
    table.hidden = rows.size === 0;
    empty.hidden = rows.size > 0;
  }
  function place(jobs) {
    let at = body.firstElementChild;
    for (const job of jobs) {
      const row = put(job, at);
      if (row.node === at) at = at.nextElementSibling;
    }
  }
  async function refresh(signal) {
    const page = await get(`/v1/jobs?limit=${PAGE}`, { signal });
    place(page.jobs);
    const current = new Set(page.jobs.map((job) => job.id));
    const oldest = page.next_cursor ? Math.min(...page.jobs.map((job) => job.created_at)) : 0;
    for (const [id, row] of rows) if (!current.has(id) && row.created >= oldest) drop(id);
    if (!reachedBack) cursor = page.next_cursor ?? null;
    more.hidden = cursor === null;
    table.hidden = rows.size === 0;
    empty.hidden = rows.size > 0;
    fail("");
  }
  async function older() {
    try {
      const page = await get(`/v1/jobs?limit=${PAGE}&cursor=${encodeURIComponent(cursor)}`);
      for (const job of page.jobs) put(job, null);
      reachedBack = true;
      cursor = page.next_cursor ?? null;
      more.hidden = cursor === null;
    } catch (problem) {
      fail(explain(problem));
    }
  }
  async function watch(signal) {
    while (!signal.aborted) {
      try {
        if (document.visibilityState === "visible") await refresh(signal);
      } catch (problem) {
        if (signal.aborted) return;
        fail(explain(problem));
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

function jobRow(changed, failed) {
  const state = stateTag();
  const bar = progress();
  const actions = jobActions(changed, failed);
  const link = el("a", { class: "job-name" });
  const about = el("span", { class: "quiet about" });
  const cell = (name, ...content) => el("td", { "data-name": name }, ...content);
  const tokens = cell("Speed");
  const left = cell("Time");
  const errors = cell("Errors");
  const created = cell("Created");
  const row = {
    node: el("tr", {}, el("th", { scope: "row" }, link, about), cell("State", state.node), cell("Progress", bar.node), tokens, left, errors, created, cell("Actions", actions.node)),
    created: 0,
    update(job) {
      row.created = job.created_at;
      row.node.dataset.id = job.id;
      link.href = `#/jobs/${job.id}`;
      setText(link, nameOf(job));
      setText(about, [job.origin?.name ? shortId(job.id) : null, job.model, job.template].filter(Boolean).join(" · "));
      link.title = about.title = `${nameOf(job)} · ${about.textContent}`;
      for (const part of [state, bar, actions]) part.update(job);
      setText(tokens, speed(job));
      setText(left, timeOf(job));
      setText(errors, job.failed_items ? count(job.failed_items) : "–");
      errors.classList.toggle("some", job.failed_items > 0);
      setText(created, ago(job.created_at));
      created.title = moment(job.created_at);
    },
  };
  return row;
}
