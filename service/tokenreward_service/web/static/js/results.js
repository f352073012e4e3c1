// A job's results as pages of heat maps. A page is read from the stream and the rest is not fetched.

import { call, explain, records } from "./api.js";
import { el, setText } from "./dom.js";
import { isOver } from "./follow.js";
import { count, several } from "./format.js";
import { withTexts } from "./jobtext.js";
import { legend, mean, sharedEnd } from "./result.js";
import { resultRows } from "./resultrows.js";
import { watchStretch } from "./stretch.js";

const PAGE = 10;
const ORDERS = { "": "Input order", errors: "Only errors", best: "Best mean first", worst: "Worst mean first" };
// Sorting and counting read every result once; beyond this many the page says so instead.
const MOST_SORTED = 20_000;

/** {node, go, update} for the job of that id. Where one is stands in the URL. */
export function resultsPager(id, signal) {
  const order = el("select", { "aria-label": "Which results" }, ...Object.entries(ORDERS).map(([value, name]) => el("option", { value }, name)));
  const note = el("p", { class: "quiet", role: "status" });
  const list = el("div", { class: "pages" });
  const key = el("div");
  const [previous, next] = ["Previous", "Next"].map((name) => el("button", { type: "button", disabled: true }, name));
  const node = el("section", { class: "results", "aria-label": "Results" }, el("div", { class: "row spread" }, el("h2", {}, "Results"), order, el("div", { class: "row" }, previous, next)), note, key, list);
  let job = null;
  let from = 0;
  let loading = null;
  let shownTo = -1;
  let ranked = null;
  let page = null;

  const move = (start, how = order.value) => (location.hash = `#/jobs/${id}?from=${start}${how ? `&order=${how}` : ""}`);
  order.addEventListener("change", () => move(0));
  previous.addEventListener("click", () => move(Math.max(0, from - PAGE)));
  next.addEventListener("click", () => move(from + PAGE));
  signal.addEventListener("abort", watchStretch(() => page && draw()));

  async function load() {
    if (!job) return;
    loading?.abort();
    const mine = (loading = new AbortController());
    signal.addEventListener("abort", () => mine.abort());
    setText(note, list.children.length ? note.textContent : "Reading…");
    try {
      const found = order.value === "" ? await inOrder(mine.signal) : await picked(mine.signal);
      const texts = await withTexts(job, found.rows, mine.signal);
      if (!mine.signal.aborted) show({ ...found, ...texts });
    } catch (error) {
      if (!mine.signal.aborted) setText(note, explain(error));
    }
  }
  async function inOrder(stop) {
    return { rows: await read(from, PAGE, stop), all: job.total_items };
  }
  /** Which results, by what all of them say; then those of the page are read again by their place. */
  async function picked(stop) {
    if (job.total_items > MOST_SORTED) throw new Error(`Sorting reads all results: too many here (${count(job.total_items)}). Download them instead.`);
    ranked ??= await everything(stop);
    const chosen = ranked.filter((row) => (order.value === "errors" ? row.code : !row.code));
    if (order.value !== "errors") chosen.sort((a, b) => (order.value === "best" ? b.mean - a.mean : a.mean - b.mean));
    const rows = [];
    for (const { index } of chosen.slice(from, from + PAGE)) rows.push(...(await read(index, 1, stop)));
    return { rows, all: chosen.length, kinds: kinds(ranked) };
  }
  async function everything(stop) {
    const found = [];
    for await (const row of records(await call(`/v1/jobs/${id}/results`, { signal: stop }))) {
      if ("index" in row) found.push({ index: row.index, code: row.error?.code, mean: row.rewards ? mean(row) : 0 });
    }
    return found;
  }
  async function read(start, most, stop) {
    const rows = [];
    for await (const row of records(await call(`/v1/jobs/${id}/results?from=${start}&limit=${most}`, { signal: stop }))) if ("index" in row) rows.push(row);
    return rows;
  }
  function show(found) {
    page = found;
    draw();
    const { rows, all, kinds: errors, note: spelling } = page;
    previous.disabled = from === 0;
    next.disabled = rows.length < PAGE || from + rows.length >= all;
    const what = rows.length ? `${count(from + 1)} to ${count(from + rows.length)} of ${count(all)}.` : order.value === "errors" ? "No errors." : "Nothing here yet.";
    setText(note, [what, errors, spelling].filter(Boolean).join(" "));
    shownTo = from + rows.length;
  }
  function draw() {
    const end = sharedEnd(page.rows);
    const sides = order.value === "" ? (job.origin?.sides ?? []) : [];
    key.replaceChildren(...(page.rows.some((row) => row.rewards) ? [legend(end)] : []));
    list.replaceChildren(...resultRows(page.rows, page.items, sides, end));
  }
  return {
    node,
    go(query) {
      from = Math.max(0, Number.parseInt(query.get("from") ?? "0", 10) || 0);
      order.value = query.get("order") ?? "";
      load();
    },
    update(snapshot) {
      const before = job;
      job = snapshot;
      if (before && before.version !== job.version) ranked = null;
      const grew = before && before.done_items !== job.done_items;
      // A page that is not full yet fills while the job runs; one that is full stands still.
      if (!before || (grew && (order.value !== "" ? isOver(job) : shownTo < from + PAGE))) load();
    },
  };
}

function kinds(rows) {
  const counted = new Map();
  for (const { code } of rows) if (code) counted.set(code, (counted.get(code) ?? 0) + 1);
  return counted.size ? `${several([...counted.values()].reduce((a, b) => a + b), "error")}: ${[...counted].map(([code, n]) => `${code} ${count(n)}`).join(", ")}.` : "";
}
