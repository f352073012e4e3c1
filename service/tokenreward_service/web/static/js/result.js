// One labeled response: its figures, its strip, its heat map; or why there is none. And the scale they share.

import { cells } from "./cells.js";
import { el } from "./dom.js";
import { count, signed } from "./format.js";
import { heatMap } from "./heat.js";
import { LEVELS, shade } from "./scale.js";
import { strip } from "./strip.js";

export const total = (result) => result.rewards.reduce((sum, reward) => sum + reward, 0);
export const mean = (result) => total(result) / result.rewards.length;

/** A card for an ItemResult. `text` is the response, where it is known. */
export function resultCard(result, { title, end, text, open = null }) {
  const head = el("h3", {}, title);
  if (result.error) {
    return el("article", { class: "card result failed" }, el("header", {}, head, el("span", { class: "tag bad" }, result.error.code)), el("p", { class: "error" }, result.error.message));
  }
  return el(
    "article",
    { class: "card result" },
    el("header", {}, head, open),
    el("dl", { class: "figures" }, ...figure("sum", signed(total(result), 3)), ...figure("mean", signed(mean(result), 4)), ...figure("tokens", count(result.rewards.length))),
    strip(result.rewards, end),
    heatMap(result, cells(result, text), end, title),
  );
}

/** What the colours mean. */
export function legend(end) {
  const steps = [-10, -8, -6, -4, -2, 0, 2, 4, 6, 8, 10];
  const ends = el(
    "div",
    { class: "scale" },
    el("span", { class: "scale-word" }, "− hurts"),
    el("div", { class: "ramp", role: "img", "aria-label": `Colour scale from ${signed(-end, 3)} (hurts) over 0 to ${signed(end, 3)} (helps)` }, ...steps.map((step) => el("span", { class: shade((step * LEVELS) / 10) }, step === -10 ? signed(-end, 2) : step === 0 ? "0" : step === 10 ? signed(end, 2) : "\u00a0"))),
    el("span", { class: "scale-word" }, "helps +"),
  );
  return el("div", { class: "legend" }, ends, el("p", { class: "quiet" }, "Solid underline helps, dotted hurts. Point at a token for its numbers, or Tab to it and use the arrow keys."));
}

function figure(name, value) {
  return [el("div", {}, el("dt", {}, name), el("dd", {}, value))];
}
