// One labeled response: its figures, its strip, its heat map; or why there is none. And the scale that it is drawn by.

import { cells } from "./cells.js";
import { el } from "./dom.js";
import { count, signed } from "./format.js";
import { heatMap } from "./heat.js";
import { LEVELS, fixedEnd, shade, stretchedEnd } from "./scale.js";
import { stretchSwitch, stretched } from "./stretch.js";
import { strip } from "./strip.js";
import { visible } from "./visible.js";

/** Characters of a response without rewards. */
const MOST_SHOWN = 4000;

export const total = (result) => result.rewards.reduce((sum, reward) => sum + reward, 0);
export const mean = (result) => total(result) / result.rewards.length;

/**
 * A card for an ItemResult. `end` is the fixed scale's; a stretched card has its own. `text` is the response, where it is
 * known; `tag` is the heading's element.
 */
export function resultCard(result, { title, end, text, tag = "h3" }) {
  const head = el(tag, {}, title);
  if (result.error) {
    const said = text === undefined ? null : el("div", { class: "plain-text", dir: "auto" }, visible(beginning(text)));
    return el("article", { class: "card result failed" }, el("header", {}, head, el("span", { class: "tag bad" }, result.error.code)), el("p", { class: "error" }, result.error.message), said);
  }
  const own = stretched() ? stretchedEnd(result.rewards) : end;
  return el(
    "article",
    { class: "card result" },
    el("header", {}, head),
    el("dl", { class: "figures" }, ...figure("sum", signed(total(result), 3)), ...figure("mean", signed(mean(result), 4)), ...figure("tokens", count(result.rewards.length))),
    stretched() ? ramp(own) : null,
    strip(result.rewards, own),
    heatMap(result, cells(result, text), own, title),
  );
}

/** The fixed scale of all these results. */
export function sharedEnd(results) {
  return fixedEnd(results.flatMap((result) => result.rewards ?? []));
}

/** What the colours mean, and the choice of the scale. */
export function legend(end) {
  const scale = stretched() ? el("p", { class: "quiet" }, "Each response has a scale of its own, which stands above it. Do not compare colours between responses.") : ramp(end);
  return el("div", { class: "legend" }, el("div", { class: "row" }, scale, stretchSwitch()), el("p", { class: "quiet" }, "Solid underline helps, dotted hurts. Point at a token for its numbers, or Tab to it and use the arrow keys."));
}

/** The colours from one end to the other, with their numbers. */
function ramp(end) {
  const steps = [-10, -8, -6, -4, -2, 0, 2, 4, 6, 8, 10];
  return el(
    "div",
    { class: "scale" },
    el("span", { class: "scale-word" }, "− hurts"),
    el("div", { class: "ramp", role: "img", "aria-label": `Colour scale from ${signed(-end, 3)} (hurts) over 0 to ${signed(end, 3)} (helps)` }, ...steps.map((step) => el("span", { class: shade((step * LEVELS) / 10) }, step === -10 ? signed(-end, 2) : step === 0 ? "0" : step === 10 ? signed(end, 2) : "\u00a0"))),
    el("span", { class: "scale-word" }, "helps +"),
  );
}

/** What fits on a page of a response that may be anything. */
function beginning(text) {
  return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text;
}

function figure(name, value) {
  return [el("div", {}, el("dt", {}, name), el("dd", {}, value))];
}
