// How strong a reward looks: one scale for everything shown together, as in tokenreward.show.scale.

/** Steps of strength per sign: classes share their computed style, which keeps thousands of tokens cheap. */
export const LEVELS = 10;
// A scale never ends below this reward, so that noise does not look like judgement.
const FLOOR = 0.02;

/** The reward whose size has full strength: 95% of `rewards` lie within it, so that no outlier washes out the rest. */
export function scaleEnd(rewards) {
  const sizes = Float64Array.from(rewards, Math.abs).sort();
  return sizes.length ? Math.max(FLOOR, sizes[Math.floor(0.95 * (sizes.length - 1))]) : FLOOR;
}

/** An integer in [-LEVELS, LEVELS]; 0 is too weak to mark. */
export function level(reward, end) {
  const strength = Math.max(-1, Math.min(1, reward / end));
  return Math.sign(strength) * Math.round(Math.abs(strength) * LEVELS);
}

/** Classes of a token with that level. */
export function shade(step) {
  return step === 0 ? "t" : `t ${step > 0 ? "up" : "down"} l${Math.abs(step)}`;
}
