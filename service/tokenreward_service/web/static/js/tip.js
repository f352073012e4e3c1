// The one tooltip: the exact numbers of the token that is pointed at or focused.

import { byId, el } from "./dom.js";
import { signed } from "./format.js";
import { visible } from "./visible.js";

const GAP = 8;
const tip = byId("tip");
let owner = null;

/** Shows the numbers of `cell` of `result` beside `target`. */
export function showTip(target, cell, result) {
  hideTip();
  owner = target;
  owner.setAttribute("aria-describedby", "tip");
  tip.replaceChildren(...cell.tokens.map((i) => facts(i, result)), ...segmentFacts(cell, result));
  tip.hidden = false;
  place(target);
}

export function hideTip() {
  owner?.removeAttribute("aria-describedby");
  owner = null;
  tip.hidden = true;
}

addEventListener("scroll", hideTip, { capture: true, passive: true });
addEventListener("resize", hideTip);
addEventListener("keydown", (event) => event.key === "Escape" && hideTip());

function facts(i, result) {
  const reward = result.rewards[i];
  const rows = Object.entries(result.logprobs ?? {}).map(([branch, values]) => [`log p ${branch}`, values[i].toFixed(4).replace("-", "−")]);
  rows.push(["token id", String(result.token_ids[i])], ["position", `${i + 1} of ${result.rewards.length}`]);
  return el(
    "div",
    { class: "fact" },
    el(
      "p",
      { class: "fact-head" },
      el("strong", { class: reward < 0 ? "hurts" : "helps" }, signed(reward, 6)),
      result.tokens ? el("code", {}, shown(result.tokens[i])) : null,
    ),
    el("dl", {}, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
  );
}

/** The segment that the cell lies in, where rewards are pooled. */
function segmentFacts(cell, result) {
  const place = cell.at === undefined ? -1 : (result.segments ?? []).findLastIndex((segment) => segment.start < cell.at + Array.from(cell.text).length);
  const segment = result.segments?.[place];
  if (!segment || segment.end <= cell.at) return [];
  return [el("p", { class: "fact" }, `segment ${place + 1} of ${result.segments.length}: ${segment.reward === null ? "no token" : signed(segment.reward, 6)}`)];
}

function shown(token) {
  const text = visible(token).replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(" ", "␣");
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

function place(target) {
  // A token that wraps has several boxes: the first is where it begins.
  const box = target.getClientRects()[0] ?? target.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = tip;
  const left = Math.max(GAP, Math.min(box.left, document.documentElement.clientWidth - width - GAP));
  const above = box.top - height - GAP;
  tip.style.left = `${left}px`;
  tip.style.top = `${above >= GAP ? above : box.bottom + GAP}px`;
}
