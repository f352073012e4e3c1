// The template: a shipped one, or one's own as context, branches and directives.

import { byId, el } from "./dom.js";

const CUSTOM = "custom…";
const FALLBACK = {
  name: "custom",
  context: "Below is a question and an answer to it.\n\n[Question]\n{prompt}\n\n[Answer]\n{response}\n\n",
  branches: { better: { directive: "Rewrite the answer to make it better." }, worse: { directive: "Rewrite the answer to make it worse." } },
};

/** {get, set, offer}: a shipped template's name, or a template. `changed` is called after every edit. */
export function templateEditor(changed) {
  const choice = byId("template");
  const place = byId("editor");
  const context = el("textarea", { id: "template-context", rows: 6, oninput: changed, spellcheck: "false" });
  const list = el("div", { class: "branch-list" });
  let shipped = [];
  let fields = {};
  const add = el("button", { type: "button", onclick: () => (append(fresh(), {}).focus(), changed()) }, "Add a branch");

  place.append(
    el("h2", {}, "Your template"),
    el("p", { class: "quiet" }, "{prompt} and {response} are replaced literally. The estimator reads the branches by name."),
    el("label", {}, "Context, shared by all branches", context),
    list,
    add,
  );
  choice.addEventListener("change", () => {
    if (choice.value === CUSTOM && !list.children.length) edit(FALLBACK);
    place.hidden = choice.value !== CUSTOM;
    changed();
  });

  function edit(template) {
    fields = template.fields ?? {};
    context.value = template.context ?? "";
    list.replaceChildren();
    for (const [name, branch] of Object.entries(template.branches)) append(name, branch);
  }

  function append(name, branch) {
    const title = el("input", { "aria-label": "Branch name", value: name, oninput: changed, spellcheck: "false" });
    const directive = el("textarea", { "aria-label": "Directive", rows: 2, oninput: changed, spellcheck: "false" });
    directive.value = branch.directive ?? "";
    const each = branch.each ?? null;
    const bare = el("input", { type: "checkbox", checked: Boolean(branch.conversation) });
    const sync = () => (directive.disabled = bare.checked);
    bare.addEventListener("change", () => (sync(), changed()));
    const remove = el("button", { type: "button", class: "plain", "aria-label": "Remove this branch" }, "✕");
    const box = el("fieldset", {}, el("div", { class: "turn-head" }, title, el("label", { class: "check" }, bare, "bare prompt"), remove), directive);
    // A branch's own context has no field here; it is kept as it came.
    box.ownContext = branch.context ?? null;
    box.each = each;
    remove.addEventListener("click", () => list.children.length > 1 && (box.remove(), add.focus(), changed()));
    sync();
    list.append(box);
    return title;
  }

  const fresh = () => ["better", "worse", "plain"].find((name) => !(name in branches())) ?? `branch${list.children.length + 1}`;
  const branches = () =>
    Object.fromEntries(
      [...list.children].map((box) => {
        const [title, bare] = box.querySelectorAll("input");
        const own = { ...(box.ownContext === null ? {} : { context: box.ownContext }), ...(box.each === null ? {} : { each: box.each }) };
        return [title.value.trim(), bare.checked ? { conversation: true } : { ...own, directive: box.querySelector("textarea").value }];
      }),
    );

  const custom = () => ({ name: "custom", context: context.value, ...(Object.keys(fields).length ? { fields } : {}), branches: branches() });

  return {
    get: () => (choice.value === CUSTOM ? custom() : choice.value),
    /** The chosen template itself; undefined for a name that the service does not ship. */
    chosen: () => (choice.value === CUSTOM ? custom() : shipped.find((t) => t.name === choice.value)),
    set(template) {
      const named = typeof template === "string";
      if (!named) edit(template);
      if (named && ![...choice.options].some((option) => option.value === template)) choice.append(el("option", {}, template));
      choice.value = named ? template : CUSTOM;
      place.hidden = named;
    },
    /** Fills the choice with what the service ships; "custom…" starts from the template that was chosen. */
    offer(templates) {
      const before = choice.value;
      shipped = templates;
      choice.replaceChildren(...templates.map((t) => el("option", { value: t.name, title: t.description }, t.name)), el("option", {}, CUSTOM));
      if (before) choice.value = before;
      const base = templates.find((t) => t.name === "revision");
      if (base && !list.children.length) edit(base);
    },
  };
}
