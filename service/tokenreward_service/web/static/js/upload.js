// A file from this computer becomes a job: what was understood is said first, and nothing is sent before that.

import { call, explain, get } from "./api.js";
import { el, setText } from "./dom.js";
import { several } from "./format.js";
import { MOST_BYTES, rowsOf } from "./rows.js";

/** The button that opens the dialog. */
export function uploadButton() {
  const button = el("button", { type: "button", onclick: () => open(button) }, "Label a file…");
  return button;
}

function open(button) {
  const file = el("input", { type: "file", accept: ".jsonl,.ndjson,.json" });
  const estimator = el("select", {});
  const said = el("p", { class: "quiet", role: "status" });
  const send = el("button", { type: "submit", class: "primary", disabled: true }, "Label");
  const close = () => dialog.close();
  const form = el(
    "form",
    {},
    el("h2", { id: "upload-title" }, "Label a file"),
    el("p", { class: "quiet" }, `JSON Lines, at most ${MOST_BYTES / 2 ** 20} MB, with \`prompt\` and \`response\`, or \`prompt\`, \`chosen\` and \`rejected\`. For other formats and larger files use `, el("code", {}, "tokenreward label"), "."),
    el("label", {}, "File", file),
    el("label", {}, "Estimator", estimator),
    said,
    el("div", { class: "row end" }, el("button", { type: "button", onclick: close }, "Cancel"), send),
  );
  const dialog = el("dialog", { "aria-labelledby": "upload-title", onclose: () => (dialog.remove(), button.focus()) }, form);
  let understood = null;

  function tell(text, bad = false) {
    setText(said, text);
    said.className = bad ? "error" : "quiet";
  }
  file.addEventListener("change", async () => {
    understood = null;
    send.disabled = true;
    const chosen = file.files[0];
    if (!chosen) return tell("");
    if (chosen.size > MOST_BYTES) return tell(`This file has ${Math.ceil(chosen.size / 2 ** 20)} MB; the page takes ${MOST_BYTES / 2 ** 20} MB. Use \`tokenreward label\` for more.`, true);
    try {
      understood = { name: chosen.name, ...rowsOf(await chosen.text()) };
      send.disabled = false;
      const kind = understood.sides.length ? "pairs of chosen and rejected" : "single responses";
      tell(`${several(understood.rows, "row")}, ${kind}; the first begins “${JSON.stringify(understood.items[0].prompt).slice(1, 60)}…”.`);
    } catch (error) {
      tell(error.message, true);
    }
    return undefined;
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    try {
      const job = await created(understood, estimator.value);
      close();
      location.hash = `#/jobs/${job.id}`;
    } catch (error) {
      tell(explain(error), true);
      send.disabled = false;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  get("/v1/estimators").then(
    ({ estimators }) => estimator.append(...estimators.filter((one) => !one.fields?.length).map((one) => el("option", {}, one.name))),
    (error) => tell(explain(error), true),
  );
}

async function created({ name, items, sides }, estimator) {
  const query = new URLSearchParams({ estimator: estimator || "contrast", origin: JSON.stringify({ name: name.slice(0, 200), sides }) });
  for (const kept of ["tokens", "logprobs"]) query.append("include", kept);
  const body = items.map((item) => JSON.stringify(item)).join("\n");
  return (await call(`/v1/jobs?${query}`, { method: "POST", body, headers: { "Content-Type": "application/x-ndjson" } })).json();
}
