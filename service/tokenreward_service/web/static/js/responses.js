// One response, or two side by side.

import { byId, el } from "./dom.js";

const NAMES = ["A", "B"];

/** {get, set}: a list of one or two texts. `changed` is called after every edit. */
export function responsesEditor(changed) {
  const place = byId("responses");
  const areas = NAMES.map((name) =>
    el("textarea", { id: `response-${name.toLowerCase()}`, rows: 5, "aria-labelledby": `response-title-${name}`, oninput: changed, spellcheck: "false", dir: "auto" }),
  );
  const compare = el("button", { type: "button", id: "compare", onclick: () => (show(2), areas[1].focus(), changed()) }, "Compare with a second response");
  const remove = el("button", { type: "button", class: "plain", "aria-label": "Remove response B", onclick: () => ((areas[1].value = ""), show(1), compare.focus(), changed()) }, "✕");
  const boxes = areas.map((area, i) => el("div", {}, el("div", { class: "row" }, el("h2", { id: `response-title-${NAMES[i]}` }, `Response ${NAMES[i]}`), i === 1 ? remove : null), area));
  let shown = 0;

  function show(n) {
    shown = n;
    place.replaceChildren(...boxes.slice(0, n), ...(n === 1 ? [compare] : []));
  }
  return {
    get: () => areas.slice(0, shown).map((area) => area.value),
    set(texts) {
      areas.forEach((area, i) => (area.value = texts[i] ?? ""));
      show(texts.length);
    },
  };
}
