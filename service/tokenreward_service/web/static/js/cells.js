// A response as cells: the smallest pieces of its text that can be drawn, as in tokenreward.show.cells.
// Most cells are one token. Tokens that share a character (an emoji may be four of them) share a cell.

/**
 * Cells of an ItemResult: {text, tokens, special}, `tokens` being positions in the result; none for text between tokens.
 * Without tokens (the job did not include them) every cell is a token id. `text` is the response, where it is known.
 */
export function cells(result, text) {
  const { tokens, offsets, token_ids: ids } = result;
  if (!tokens) return ids.map((id, i) => ({ text: `${id} `, tokens: [i], special: true }));
  if (!offsets) return tokens.map((token, i) => ({ text: token, tokens: [i], special: false }));
  // Offsets count code points; JavaScript's strings count UTF-16 units.
  const characters = text === undefined ? null : Array.from(text);
  const drawn = [];
  let open = null;

  const close = () => {
    if (open) drawn.push({ text: textOf(open, characters, tokens), tokens: open.tokens, special: false });
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
    if (characters && first > end) drawn.push({ text: characters.slice(end, first).join(""), tokens: [], special: false });
    open = { first, last, tokens: [i] };
    end = Math.max(end, last);
  });
  close();
  if (characters && end < characters.length) drawn.push({ text: characters.slice(end).join(""), tokens: [], special: false });
  return drawn;
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
