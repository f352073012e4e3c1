// Which parts of a response are code, as in tokenreward.html.code_spans: those are drawn in a font with columns.

const FENCE = /^```[^\n]*\n[\s\S]*?(?:^```[^\n]*$|$(?![\s\S]))/gm;
const INDENTED = /^(?:\t| {2,})(?![-*+•]|\d+[.)])\s*\S/;
const STATEMENT = /[{};]\s*$|^\s*(?:def|class|return|import|from|for|while|if|else|elif|function|const|let|var|fn|pub|use|#include|SELECT)\b.*[:;({)\w]\s*$/;

/** [start, end) of each part, in code points of `text`. */
export function codeSpans(text) {
  const points = (end) => Array.from(text.slice(0, end)).length;
  const fenced = [...text.matchAll(FENCE)].map((found) => [points(found.index), points(found.index + found[0].length)]);
  if (fenced.length) return fenced;
  const lines = text.split("\n").filter((line) => line.trim());
  const like = lines.filter((line) => INDENTED.test(line) || STATEMENT.test(line)).length;
  const code = lines.some((line) => INDENTED.test(line)) && lines.some((line) => STATEMENT.test(line)) && 2 * like > lines.length;
  return code ? [[0, points(text.length)]] : [];
}
