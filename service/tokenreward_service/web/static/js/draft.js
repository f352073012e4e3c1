// What stands in the form, kept in this tab so that a reload loses nothing.

const NAME = "tokenreward.draft";

/** Keeps the form's content, and the link that it began with. */
export function keepDraft(asked, link) {
  try {
    sessionStorage.setItem(NAME, JSON.stringify({ asked, link }));
  } catch {
    // Too long for the browser's store, or forbidden there: a reload then begins with the example.
  }
}

/** {asked, link}, or null. */
export function draft() {
  try {
    return JSON.parse(sessionStorage.getItem(NAME));
  } catch {
    return null;
  }
}
