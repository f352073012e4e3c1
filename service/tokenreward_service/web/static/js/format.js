// Numbers, times and names as people read them.

const whole = new Intl.NumberFormat("en");

export const count = (n) => whole.format(n);
export const several = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const share = (x) => `${Math.round(100 * x)}%`;

/** With a true minus sign and always a sign: +0.12, −0.03. */
export function signed(x, digits = 3) {
  const text = Math.abs(x).toFixed(digits);
  return (x < 0 && Number(text) !== 0 ? "−" : "+") + text;
}

export function rate(tokensPerSecond) {
  if (!tokensPerSecond) return "–";
  if (tokensPerSecond >= 1e6) return `${(tokensPerSecond / 1e6).toFixed(1)}M/s`;
  if (tokensPerSecond >= 1e4) return `${Math.round(tokensPerSecond / 1e3)}k/s`;
  return `${count(Math.round(tokensPerSecond))}/s`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds < 1) return "<1 s";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

export const ago = (unix) => {
  const seconds = Math.max(0, Date.now() / 1000 - unix);
  return seconds < 5 ? "just now" : `${duration(seconds).replace(/ \d+ s$/, "")} ago`;
};

export const moment = (unix) => new Date(unix * 1000).toLocaleString();
export const shortId = (id) => id.slice(0, 8);
