// What each branch will say for the item in the form, asked of the service while one types.

import { ApiError, explain, post } from "./api.js";
import { byId, el } from "./dom.js";
import { visible } from "./visible.js";

const QUIET_MS = 250;

/** A function to call after every edit; `asked` gives the form's content. Asks only while the preview is open. */
export function preview(asked) {
  const box = byId("preview");
  const place = byId("branches");
  let timer = 0;
  let running = null;

  async function render() {
    running?.abort();
    running = new AbortController();
    const { prompt, responses, template, context } = asked();
    try {
      const item = { prompt, response: responses[0] || "…", ...(context ? { context } : {}) };
      const rendered = await post("/v1/render", { item, template }, { signal: running.signal });
      place.replaceChildren(...Object.entries(rendered.branches).map(([name, branch]) => shown(name, branch.messages)));
    } catch (error) {
      if (error.name === "AbortError") return;
      const wrong = error instanceof ApiError && error.status < 500 ? "Not a template yet: " : "";
      place.replaceChildren(el("p", { class: "error" }, wrong + explain(error)));
    }
  }
  function changed() {
    clearTimeout(timer);
    if (box.open) timer = setTimeout(render, QUIET_MS);
  }
  box.addEventListener("toggle", changed);
  return changed;
}

function shown(name, messages) {
  return el(
    "section",
    { class: "branch" },
    el("h3", {}, name),
    ...messages.map((message) => el("div", {}, el("span", { class: "tag" }, visible(message.role)), el("pre", { dir: "auto", tabindex: 0, "aria-label": `${name}: ${message.role}` }, visible(message.content)))),
  );
}
