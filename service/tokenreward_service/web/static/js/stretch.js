// The choice between one fixed colour scale and a scale for each response, kept for the next visit.

import { el } from "./dom.js";

const NAME = "tokenreward.stretch";
const listeners = new Set();
let on = read();

export const stretched = () => on;

/** Calls `changed` after every change; returns what ends that. */
export function watchStretch(changed) {
  listeners.add(changed);
  return () => listeners.delete(changed);
}

/** Two buttons, one of which is pressed. */
export function stretchSwitch() {
  const button = (name, value) => el("button", { type: "button", "aria-pressed": String(on === value), onclick: () => choose(value) }, name);
  return el("div", { class: "segments", role: "group", "aria-label": "Colour scale" }, button("Fixed scale", false), button("Stretch to each response", true));
}

function choose(value) {
  if (on === value) return;
  on = value;
  try {
    localStorage.setItem(NAME, String(on));
  } catch {
    // It holds for this page, then.
  }
  for (const changed of [...listeners]) changed();
  // What was pressed has been drawn anew.
  document.querySelector('.legend [aria-pressed="true"]')?.focus();
}

function read() {
  try {
    return localStorage.getItem(NAME) === "true";
  } catch {
    return false;
  }
}
