// Text of unknown origin made harmless and visible: the same rule as tokenreward.html.escaping in Python.

// Control, format (direction marks, zero width), surrogate, private use, unassigned; line and paragraph separators.
const HIDDEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;
const PLAIN = /^[\x20-\x7e]*$/;

/** `text` with every character that could act or hide written as <U+XXXX>; line feeds and tabs stay. */
export function visible(text) {
  return PLAIN.test(text) ? text : text.replace(HIDDEN, named);
}

function named(character) {
  return `<U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}>`;
}
