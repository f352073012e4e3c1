// A response as cells: the smallest pieces of its text that can be drawn, as in tokenreward.show.cells.
// Most cells are one token. Tokens that share a character (an emoji may be four of them) share a cell.

import { codeSpans } from "./code.js";

/**
 * Cells of an ItemResult: {text, tokens, special, code, segment}. `tokens` are positions in the result, none for text
 * between tokens; `segment` is the number of the segment that the cell is the first of. Without tokens (the job did not
 * include them) every cell is a token id. `text` is the response, where it is known.
 */
export function cells(result, text) {
  const { tokens, offsets, token_ids: ids } = result;
  if (!tokens) return ids.map((id, i) => ({ text: `${id} `, tokens: [i], special: true }));
  if (!offsets) return tokens.map((token, i) => ({ text: token, tokens: [i], special: false }));
  const spelled = text ?? spelling(tokens, offsets);
  // Offsets count code points; JavaScript's strings count UTF-16 units.
  const characters = text === undefined ? null : Array.from(text);
  const drawn = [];
  let open = null;

  const close = () => {
    if (open) drawn.push({ text: textOf(open, characters, tokens), tokens: open.tokens, special: false, at: open.first });
    open = null;
  };
  let end = 0;
  offsets.forEach(([first, last], i) => {
    if (first === last) {
      close();
      drawn.push({ text: tokens[i], tokens: [i], special: true });
      return;
    }
    if (open && first < open.last) {
      open.tokens.push(i);
      open.last = Math.max(open.last, last);
      end = open.last;
      return;
    }
    close();
    if (characters && first > end) drawn.push({ text: characters.slice(end, first).join(""), tokens: [], special: false, at: end });
    open = { first, last, tokens: [i] };
    end = Math.max(end, last);
  });
  close();
  if (characters && end < characters.length) drawn.push({ text: characters.slice(end).join(""), tokens: [], special: false, at: end });
  return segmented(marked(drawn, codeSpans(spelled)), result.segments ?? []);
}

/** The mean over a cell's tokens. */
export function rewardOf(cell, rewards) {
  return cell.tokens.reduce((sum, i) => sum + rewards[i], 0) / cell.tokens.length;
}

function textOf(open, characters, tokens) {
  if (characters) return characters.slice(open.first, open.last).join("");
  // Parts of one character are each a replacement sign: one is enough.
  return open.tokens.map((i) => tokens[i]).join("").replace(/\uFFFD+/g, "\uFFFD");
}

function spelling(tokens, offsets) {
  return tokens.filter((_, i) => offsets[i][0] !== offsets[i][1]).join("");
}

function marked(drawn, spans) {
  for (const cell of drawn) cell.code = cell.at !== undefined && spans.some(([start, end]) => cell.at >= start && cell.at < end);
  return drawn;
}

/** A segment begins with the first cell whose text that is not blank reaches into it. */
function segmented(drawn, segments) {
  let next = 0;
  for (const cell of drawn) {
    if (cell.at === undefined || next >= segments.length) continue;
    const characters = Array.from(cell.text);
    const begins = cell.at + Math.max(0, characters.findIndex((c) => c.trim()));
    while (next < segments.length && segments[next].end <= begins) next += 1;
    if (next < segments.length && cell.tokens.length && begins >= segments[next].start) cell.segment = next++;
  }
  return drawn;
}
