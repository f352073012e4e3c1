// The prompt: one text, or the turns of a conversation.

import { byId, el } from "./dom.js";

const ROLES = ["user", "assistant", "system"];

/** {get, set}: the prompt as a string or as messages. `changed` is called after every edit. */
export function promptEditor(changed) {
  const place = byId("prompt");
  const buttons = { text: byId("as-text"), turns: byId("as-turns") };
  const text = el("textarea", { id: "prompt-text", rows: 4, "aria-labelledby": "prompt-title", oninput: changed, spellcheck: "false", dir: "auto" });
  const list = el("ol", { class: "turns" });
  const add = el("button", { type: "button", onclick: () => (append(nextRole(), "").focus(), changed()) }, "Add a turn");
  let mode = "";

  function show(next) {
    mode = next;
    for (const [name, button] of Object.entries(buttons)) button.setAttribute("aria-pressed", String(name === mode));
    place.replaceChildren(...(mode === "text" ? [text] : [list, add]));
  }

  function append(role, content) {
    const known = ROLES.includes(role) ? ROLES : [...ROLES, role];
    const choice = el("select", { "aria-label": "Role", onchange: changed }, ...known.map((name) => el("option", { value: name, selected: name === role }, name)));
    const area = el("textarea", { rows: 2, "aria-label": "What is said", oninput: changed, spellcheck: "false", dir: "auto" });
    area.value = content;
    const remove = el("button", { type: "button", class: "plain", "aria-label": "Remove this turn" }, "✕");
    const item = el("li", {}, el("div", { class: "turn-head" }, choice, remove), area);
    remove.addEventListener("click", () => {
      if (list.children.length === 1) return;
      item.remove();
      list.querySelector("textarea").focus();
      changed();
    });
    list.append(item);
    return area;
  }

  const turns = () => [...list.children].map((item) => ({ role: item.querySelector("select").value, content: item.querySelector("textarea").value }));
  const nextRole = () => (turns().at(-1)?.role === "user" ? "assistant" : "user");

  buttons.text.addEventListener("click", () => {
    if (mode === "text") return;
    if (!text.value) text.value = turns().at(-1)?.content ?? "";
    show("text");
    changed();
  });
  buttons.turns.addEventListener("click", () => {
    if (mode === "turns") return;
    if (!list.children.length || (list.children.length === 1 && turns()[0].role === "user")) {
      list.replaceChildren();
      append("user", text.value);
    }
    show("turns");
    changed();
  });

  return {
    get: () => (mode === "text" ? text.value : turns()),
    set(prompt) {
      list.replaceChildren();
      text.value = "";
      if (typeof prompt === "string") text.value = prompt;
      else for (const { role, content } of prompt) append(role, content);
      show(typeof prompt === "string" ? "text" : "turns");
    },
  };
}
