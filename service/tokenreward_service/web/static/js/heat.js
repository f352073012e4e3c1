// A response as coloured tokens. One listener a map, one tab stop a map (roving tabindex), tokens built in chunks.

import { rewardOf } from "./cells.js";
import { el } from "./dom.js";
import { several } from "./format.js";
import { level, shade } from "./scale.js";
import { hideTip, showTip } from "./tip.js";
import { visible } from "./visible.js";

const CHUNK = 2000;
const JUMP = 50;

/** The heat map of an ItemResult cut into `drawn` cells. `end` is its scale's; `label` names it. */
export function heatMap(result, drawn, end, label) {
  const map = el("div", { class: "heat", role: "group", dir: "auto", "aria-label": `${label}: ${several(result.rewards.length, "token")}. Arrow keys move between tokens.` });
  const cellOf = new WeakMap();
  const build = (from) => {
    const piece = document.createDocumentFragment();
    for (const cell of drawn.slice(from, from + CHUNK)) {
      if (!cell.tokens.length) {
        piece.append(visible(cell.text));
        continue;
      }
      const node = token(cell, rewardOf(cell, result.rewards), end);
      cellOf.set(node, cell);
      piece.append(...leading(cell), node);
    }
    map.append(piece);
    if (from + CHUNK < drawn.length) setTimeout(build, 0, from + CHUNK);
  };
  build(0);

  let stop = map.querySelector(".t");
  stop?.setAttribute("tabindex", "0");
  const show = (node) => cellOf.has(node) && showTip(node, cellOf.get(node), result);
  const stopAt = (node) => {
    stop?.setAttribute("tabindex", "-1");
    stop = node;
    stop.setAttribute("tabindex", "0");
  };

  map.addEventListener("pointerover", (event) => show(event.target.closest(".t")));
  map.addEventListener("pointerleave", () => (map.contains(document.activeElement) ? show(document.activeElement) : hideTip()));
  map.addEventListener("pointerdown", (event) => event.target.closest(".t") && stopAt(event.target.closest(".t")));
  map.addEventListener("focusin", (event) => {
    stopAt(event.target);
    requestAnimationFrame(() => document.activeElement === event.target && show(event.target)); // after it scrolled
  });
  map.addEventListener("focusout", hideTip);
  map.addEventListener("keydown", (event) => {
    const next = target(event, map);
    if (!next) return;
    event.preventDefault();
    stopAt(next);
    next.focus();
  });
  return map;
}

/** The blanks before a word: drawn without colour, as a line that ends there would keep a coloured sliver of them. */
function leading(cell) {
  const rest = cell.text.trimStart();
  return cell.special || rest === "" || rest.length === cell.text.length ? [] : [visible(cell.text.slice(0, cell.text.length - rest.length))];
}

function token(cell, reward, end) {
  const node = document.createElement("span");
  const kinds = [cell.special && "special", cell.code && "code", cell.segment !== undefined && "begins", cell.text.includes("\t") && "tab"];
  node.className = [shade(level(reward, end)), ...kinds.filter(Boolean)].join(" ");
  node.tabIndex = -1;
  const blank = cell.text.trim() === "";
  // A line end that is a token of its own has no width: a sign stands for it.
  const sign = blank ? "↵".repeat(cell.text.split("\n").length - 1) : "";
  node.textContent = sign + visible(cell.special || blank ? cell.text : cell.text.trimStart());
  return node;
}

/** The token that this key leads to. */
function target(event, map) {
  if (event.ctrlKey || event.altKey || event.metaKey) return null;
  const from = event.target;
  const steps = { ArrowRight: 1, ArrowLeft: -1, PageDown: JUMP, PageUp: -JUMP };
  if (event.key in steps) return walk(from, steps[event.key]);
  if (event.key === "Home") return map.querySelector(".t");
  if (event.key === "End") return [...map.querySelectorAll(".t")].at(-1);
  if (event.key === "ArrowDown") return beside(from, "nextElementSibling");
  if (event.key === "ArrowUp") return beside(from, "previousElementSibling");
  return null;
}

function walk(from, steps) {
  let at = from;
  for (let left = Math.abs(steps); left > 0; left--) {
    const next = steps > 0 ? at.nextElementSibling : at.previousElementSibling;
    if (!next) break;
    at = next;
  }
  return at;
}

/** The token nearest to `from` in the line after (or before) its own. */
function beside(from, direction) {
  const start = from.getBoundingClientRect();
  let line = null;
  let best = null;
  let distance = Infinity;
  for (let node = from[direction]; node; node = node[direction]) {
    const box = node.getClientRects()[0];
    if (!box || Math.abs(box.top - start.top) < start.height / 2) continue;
    line ??= box.top;
    if (Math.abs(box.top - line) > box.height / 2) break;
    if (Math.abs(box.left - start.left) < distance) [best, distance] = [node, Math.abs(box.left - start.left)];
  }
  return best;
}
