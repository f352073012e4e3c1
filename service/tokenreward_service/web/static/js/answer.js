// The answer of the playground: heat maps under one scale, and ways to take them along.

import { base } from "./api.js";
import { difference } from "./difference.js";
import { el, say } from "./dom.js";
import { asCurl, asPython } from "./exports.js";
import { key } from "./key.js";
import { pack } from "./link.js";
import { provenance } from "./provenance.js";
import { legend, resultCard, sharedEnd } from "./result.js";
import { watchStretch } from "./stretch.js";
import { trust } from "./trust.js";

/** {show, outdated} on `place`. */
export function answerPanel(place) {
  let shownFor = null;
  let latest = null;
  place.replaceChildren(welcome());
  watchStretch(() => latest && draw());

  function draw() {
    const { asked, found } = latest;
    const end = sharedEnd(found.results);
    const titles = found.results.length === 1 ? ["Response"] : ["Response A", "Response B"];
    const cards = found.results.map((result, i) => resultCard(result, { title: titles[i], end, text: asked.responses[i] }));
    const both = found.results.length === 2 && found.results.every((result) => result.rewards);
    place.replaceChildren(
      el("div", { class: "bar" }, legend(end), exportsRow(asked, found)),
      el("div", { class: `sides sides-${cards.length}` }, ...cards),
      both ? difference(found.results, asked.responses, end) : "",
      el("footer", {}, trust(found.provenance), provenance(found.provenance)),
    );
  }
  return {
    show(asked, found) {
      latest = { asked, found };
      shownFor = JSON.stringify(asked);
      place.classList.remove("outdated");
      queueMicrotask(() => place.getBoundingClientRect().top > innerHeight * 0.6 && place.scrollIntoView({ block: "start" }));
      draw();
    },
    /** Dims the maps while the form no longer says what they show. */
    outdated(now) {
      place.classList.toggle("outdated", shownFor !== null && now !== shownFor);
    },
  };
}

function exportsRow(asked, found) {
  const ways = {
    "Copy link": async () => `${base}/#/play/${await pack({ ...asked, job: found.job.id })}`,
    JSON: () => JSON.stringify({ results: found.results, provenance: found.provenance }, null, 2),
    curl: () => asCurl(asked, base, Boolean(key.get())),
    Python: () => asPython(asked, base),
  };
  return el("div", { class: "exports", role: "group", "aria-label": "Copy" }, ...Object.entries(ways).map(([name, text]) => copyButton(name, text)));
}

function copyButton(name, text) {
  const button = el("button", { type: "button", title: `Copy as ${name}`.replace("as Copy ", "") }, name);
  button.addEventListener("click", async () => {
    const content = await text();
    const copied = await navigator.clipboard?.writeText(content).then(() => true, () => false);
    if (!copied) byHand(content, button);
    say(copied ? `${name} copied.` : "Select and copy the text.");
    button.dataset.done = copied ? "✓" : "";
    setTimeout(() => delete button.dataset.done, 1500);
  });
  return button;
}

/** Without a clipboard (plain HTTP beyond localhost has none), the text is shown, selected. */
function byHand(content, button) {
  const area = el("textarea", { readonly: true, rows: 8, "aria-label": "Copy this text" });
  area.value = content;
  const dialog = el("dialog", { class: "by-hand", onclose: () => (dialog.remove(), button.focus()) }, area, el("button", { type: "button", onclick: () => dialog.close() }, "Close"));
  document.body.append(dialog);
  dialog.showModal();
  area.select();
}

function welcome() {
  return el(
    "div",
    { class: "welcome" },
    el("h2", {}, "Which tokens helped?"),
    el("p", {}, "The model scores each token of the response twice: told to rewrite it ", el("em", {}, "better"), ", and told to rewrite it ", el("em", {}, "worse"), ". How much likelier a token is under the first is its reward, from −0.5 to +0.5."),
    el("p", { class: "sample", "aria-hidden": "true" }, ...[["What", 0], [" helped", 8], [" is", 1], [" blue", 5], [",", 0], [" what", 0], [" hurt", -8], [" is", -1], [" red", -5], [".", 0]].map(([text, n]) => el("span", { class: n === 0 ? "t" : `t ${n > 0 ? "up" : "down"} l${Math.abs(n)}` }, text))),
    el("p", { class: "quiet" }, "Press Label to try it on the example, or write your own."),
  );
}
