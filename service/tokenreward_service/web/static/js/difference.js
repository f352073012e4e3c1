// Two responses to one prompt: which of them the labels prefer, in words, and where the difference comes from.

import { cells } from "./cells.js";
import { el } from "./dom.js";
import { several, signed } from "./format.js";
import { mean, total } from "./result.js";
import { level, shade } from "./scale.js";
import { visible } from "./visible.js";

/** Beyond this many words a side, only the common beginning and end are taken off: a full comparison is quadratic. */
const MOST_WORDS = 1500;

/** The verdict and the table of differences of two ItemResults with rewards. `end` is their scale's. */
export function difference([a, b], [textA, textB], end) {
  const rows = hunks(words(a, textA), words(b, textB));
  const differing = rows.filter((row) => !row.same);
  return el(
    "section",
    { class: "card difference", "aria-label": "Difference" },
    el("h3", {}, "A against B"),
    el("p", { class: "verdict" }, verdict(a, b, differing)),
    differing.length
      ? el(
          "div",
          { class: "hunks", tabindex: 0, role: "region", "aria-label": "Where A and B differ" },
          el("table", {}, el("thead", {}, el("tr", {}, ...["Only in A", "sum A", "Only in B", "sum B", "A − B"].map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, ...rows.map((row) => (row.same ? common(row) : apart(row, end))))),
        )
      : el("p", { class: "quiet" }, "Both say the same, word for word."),
  );
}

/** The preference in a sentence or two. */
export function verdict(a, b, differing) {
  const [bySum, byMean] = [total(a) - total(b), mean(a) - mean(b)];
  const numbers = `by sum ${signed(bySum, 3)}, by mean ${signed(byMean, 4)}`;
  const side = (x) => (x > 0 ? "A" : "B");
  const largest = differing.reduce((best, row) => (Math.abs(row.a.sum - row.b.sum) > Math.abs(best ? best.a.sum - best.b.sum : 0) ? row : best), null);
  const where = largest ? ` Most of it is “${clipped(largest.a.text)}” in A against “${clipped(largest.b.text)}” in B (${signed(largest.a.sum - largest.b.sum, 3)}).` : "";
  if (Math.abs(bySum) < 0.005 && Math.abs(byMean) < 0.0005) return `The labels do not tell A from B (${numbers}).`;
  if (Math.sign(bySum) === Math.sign(byMean)) return `The labels prefer ${side(bySum)} (A − B: ${numbers}).${where}`;
  const lengths = `${several(a.rewards.length, "token")} and ${several(b.rewards.length, "token")}`;
  return `The labels do not decide: by sum they prefer ${side(bySum)}, by mean ${side(byMean)} (A − B: ${numbers}). The responses have ${lengths}, and a sum grows with length.${where}`;
}

/** Runs of what both say and of what only one says: {same, a, b}, each side {text, sum}. */
export function hunks(a, b) {
  const rows = [];
  const put = (same, left, right) => {
    if (rows.at(-1)?.same !== same) rows.push({ same, a: { text: "", sum: 0 }, b: { text: "", sum: 0 } });
    for (const [side, found] of [["a", left], ["b", right]]) {
      if (!found) continue;
      rows.at(-1)[side].text += found.text;
      rows.at(-1)[side].sum += found.sum;
    }
  };
  for (const [i, j] of aligned(a.map((word) => word.text.trim()), b.map((word) => word.text.trim()))) put(i !== null && j !== null, a[i ?? -1], b[j ?? -1]);
  return rows;
}

/** Words of a response with the sum of their tokens' rewards; a blank belongs to the word behind it. */
function words(result, text) {
  const found = [];
  for (const cell of cells(result, text)) {
    const sum = cell.tokens.reduce((all, i) => all + result.rewards[i], 0);
    if (!found.length || cell.special || /^\s/.test(cell.text) || /\s$/.test(found.at(-1).text) || found.at(-1).special) found.push({ text: cell.text, sum, special: cell.special });
    else Object.assign(found.at(-1), { text: found.at(-1).text + cell.text, sum: found.at(-1).sum + sum });
  }
  return found;
}

/** Pairs of places [i, j] in order, null where only the other side has a word: a longest common subsequence. */
function aligned(a, b) {
  let start = 0;
  while (start < Math.min(a.length, b.length) && a[start] === b[start]) start += 1;
  let tail = 0;
  while (tail < Math.min(a.length, b.length) - start && a.at(-1 - tail) === b.at(-1 - tail)) tail += 1;
  const [n, m] = [a.length - start - tail, b.length - start - tail];
  const both = (count, from, to) => Array.from({ length: count }, (_, k) => [from + k, to + k]);
  return [...both(start, 0, 0), ...middle(a.slice(start, start + n), b.slice(start, start + m)).map(([i, j]) => [i === null ? null : i + start, j === null ? null : j + start]), ...both(tail, a.length - tail, b.length - tail)];
}

function middle(a, b) {
  const [n, m] = [a.length, b.length];
  const rest = (i, j) => [...Array.from({ length: n - i }, (_, k) => [i + k, null]), ...Array.from({ length: m - j }, (_, k) => [null, j + k])];
  if (!n || !m || Math.max(n, m) > MOST_WORDS) return rest(0, 0);
  const longest = Array.from({ length: n + 1 }, () => new Uint16Array(m + 1));
  for (let i = n - 1; i >= 0; i--) for (let j = m - 1; j >= 0; j--) longest[i][j] = a[i] === b[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
  const steps = [];
  let [i, j] = [0, 0];
  while (i < n && j < m) {
    if (a[i] === b[j]) steps.push([i++, j++]);
    else if (longest[i + 1][j] >= longest[i][j + 1]) steps.push([i++, null]);
    else steps.push([null, j++]);
  }
  return [...steps, ...rest(i, j)];
}

function common({ a, b }) {
  return el("tr", { class: "same" }, el("td", { colspan: 5 }, `both: ${clipped(a.text, 60)} (A ${signed(a.sum, 3)}, B ${signed(b.sum, 3)})`));
}

function apart({ a, b }, end) {
  const said = ({ text, sum }) => el("td", {}, text ? el("span", { class: shade(level(sum, end)) }, visible(text.trim())) : "–");
  const number = (value, there = true) => el("td", { class: "numbers" }, there ? signed(value, 3) : "–");
  return el("tr", {}, said(a), number(a.sum, a.text), said(b), number(b.sum, b.text), number(a.sum - b.sum));
}

function clipped(text, most = 40) {
  const shown = visible(text).replace(/\s+/g, " ").trim();
  if (!shown) return "nothing";
  return shown.length > most ? `${shown.slice(0, most - 1)}…` : shown;
}
