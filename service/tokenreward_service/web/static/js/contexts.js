// What an item knows beside prompt and response: one field of the form for each context field of the chosen template.

import { byId, el } from "./dom.js";

/** Between the values of a field that is a list. */
const APART = /^---$/m;

/** {get, set, offer}: context fields by name, as text or as lists of text. `changed` is called after every edit. */
export function contextsEditor(changed) {
  const place = byId("contexts");
  const kept = new Map(); // what was written, also for fields of other templates
  let fields = [];

  function offer(template) {
    const lists = new Set(Object.values(template?.branches ?? {}).map((branch) => branch.each).filter(Boolean));
    fields = Object.entries(template?.fields ?? {}).map(([name, field]) => ({ name, list: lists.has(name), ...field }));
    place.hidden = !fields.length;
    place.replaceChildren(...(fields.length ? [el("h2", {}, "Context"), ...fields.map(input)] : []));
  }

  function input({ name, list, description, required }) {
    const note = [description, list ? "Several: put a line of --- between them." : "", required ? "" : "Optional."].filter(Boolean).join(" ");
    const area = el("textarea", { id: `context-${name}`, rows: 3, spellcheck: "false", dir: "auto", oninput: () => (kept.set(name, area.value), changed()) });
    area.value = kept.get(name) ?? "";
    return el("label", {}, name, el("span", { class: "quiet" }, ` ${note}`), area);
  }

  const value = ({ name, list }) => {
    const text = kept.get(name) ?? "";
    return list ? text.split(APART).map((part) => part.trim()).filter(Boolean) : text.trim();
  };

  return {
    get: () => Object.fromEntries(fields.map((field) => [field.name, value(field)]).filter(([, found]) => found.length)),
    set(context) {
      for (const [name, found] of Object.entries(context ?? {})) kept.set(name, Array.isArray(found) ? found.join("\n---\n") : found);
      for (const { name } of fields) byId(`context-${name}`).value = kept.get(name) ?? "";
    },
    offer,
  };
}
