// The whole response at a glance: one bar for each token, or for each run of tokens when they are many.

import { svg } from "./dom.js";

const MOST_BARS = 160;
const HALF = 20;

/** An SVG of bars up (helps) and down (hurts). Decoration beside the map, which says the same to everybody. */
export function strip(rewards, end) {
  const bars = bucketed(rewards);
  const height = (reward) => Math.min(1, Math.abs(reward) / end) * HALF;
  const side = (sign) =>
    bars
      .map((reward, i) => [i, Math.sign(reward) === sign ? height(reward) : 0])
      .filter(([, size]) => size > 0.2)
      .map(([i, size]) => `M${i + 0.1} ${HALF}v${(-sign * size).toFixed(2)}h.8V${HALF}z`)
      .join("");
  return svg(
    "svg",
    { class: "strip", viewBox: `0 0 ${bars.length} ${2 * HALF}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("path", { class: "bar-up", d: side(1) }),
    svg("path", { class: "bar-down", d: side(-1) }),
    svg("path", { class: "bar-zero", d: `M0 ${HALF}h${bars.length}` }),
  );
}

/** At least 40 places, so that a short response keeps thin bars. */
function bucketed(rewards) {
  if (rewards.length <= MOST_BARS) return [...rewards, ...Array(Math.max(0, 40 - rewards.length)).fill(0)];
  return Array.from({ length: MOST_BARS }, (_, i) => {
    const run = rewards.slice(Math.floor((i * rewards.length) / MOST_BARS), Math.floor(((i + 1) * rewards.length) / MOST_BARS));
    return run.reduce((sum, reward) => sum + reward, 0) / run.length;
  });
}
