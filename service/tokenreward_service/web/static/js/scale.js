// How strong a reward looks, as in tokenreward.html.scale: the same everywhere, or stretched to one response.

/** Steps of strength per sign: classes share their computed style, which keeps thousands of tokens cheap. */
export const LEVELS = 10;
/** The reward of full strength: σ(d) − ½ where a token is three times likelier under one prompt than under the other. */
const FIXED = 0.25;
/** The same for rewards without a bound, which are d itself: ln 3. */
const FIXED_UNBOUNDED = Math.log(3);
const BOUND = 0.5;
// A stretched scale never ends below this reward, so that noise does not look like judgement.
const FLOOR = 0.02;

/** The reward of full strength on the scale that all responses share. */
export function fixedEnd(rewards) {
  return rewards.some((reward) => Math.abs(reward) > BOUND) ? FIXED_UNBOUNDED : FIXED;
}

/** The reward of full strength for these rewards alone: 95% of them lie within it, so that no outlier washes out the rest. */
export function stretchedEnd(rewards) {
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
