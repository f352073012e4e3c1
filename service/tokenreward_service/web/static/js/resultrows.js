// A page of a job's results as cards: the prompt once, and below it the responses that belong together side by side.

import { el } from "./dom.js";
import { textOf, turnsOf } from "./jobtext.js";
import { resultCard } from "./result.js";
import { visible } from "./visible.js";

/**
 * Cards for ItemResults. `items` are the items by index; `sides` names the responses of a row, if `rows` are in input
 * order and the job said so.
 */
export function resultRows(rows, items, sides, end) {
  if (sides.length < 2) return rows.map((row) => single(row, items.get(row.index), end));
  const groups = new Map();
  for (const row of rows) {
    const number = Math.floor(row.index / sides.length);
    groups.set(number, [...(groups.get(number) ?? []), row]);
  }
  return [...groups].map(([number, group]) => together(number, group, items, sides, end));
}

function single(row, item, end) {
  const card = resultCard(row, { title: `Item ${row.index + 1}${row.id ? ` · ${visible(row.id)}` : ""}`, end, text: textOf(item) });
  if (item) card.querySelector("header").after(promptOf(item));
  return card;
}

function together(number, rows, items, sides, end) {
  const item = items.get(rows[0].index);
  return el(
    "section",
    { class: "together", "aria-label": `Row ${number + 1}` },
    el("h3", {}, `Row ${number + 1}`),
    item ? promptOf(item) : null,
    el("div", { class: "sides sides-2" }, ...rows.map((row) => resultCard(row, { title: sides[row.index % sides.length], end, text: textOf(items.get(row.index)), tag: "h4" }))),
  );
}

function promptOf(item) {
  const turns = turnsOf(item);
  const last = turns.at(-1)?.content ?? "";
  const short = visible(last).replace(/\s+/g, " ").trim();
  return el(
    "details",
    { class: "prompt", open: turns.length === 1 && last.length < 400 },
    el("summary", {}, "Prompt ", el("span", { class: "quiet" }, short.length > 80 ? `${short.slice(0, 79)}…` : "")),
    ...turns.map(({ role, content }) => el("div", {}, el("span", { class: "tag" }, visible(role)), el("div", { class: "plain-text", dir: "auto" }, visible(content)))),
  );
}
