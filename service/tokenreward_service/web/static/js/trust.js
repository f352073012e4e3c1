// How far labels can be trusted: what the last audit of the same labels by the same model found.

import { get } from "./api.js";
import { el } from "./dom.js";
import { ago, several } from "./format.js";

/** A sentence about the labels of that provenance. It is there at once, and is filled in once the service has answered. */
export function trust(provenance) {
  const node = el("p", { class: "trust", role: "note" });
  fill(node, provenance).catch(() => node.remove());
  return node;
}

async function fill(node, provenance) {
  const { audits } = await get("/v1/audits", { quiet: true });
  const same = (name) => (audit) => (audit[name] ?? null) === (provenance[name] ?? null);
  const found = ["fingerprint_digest", "template_hash", "estimator_hash", "pool"].reduce((left, name) => left.filter(same(name)), audits)[0];
  if (!found) {
    node.replaceChildren("Nobody has audited these labels of this model here. ", el("code", {}, "tokenreward audit"), " measures how far they can be trusted.");
    return;
  }
  node.dataset.advice = found.advice;
  node.replaceChildren(el("strong", {}, { yes: "Audited: ", doubtful: "Audited, doubtful: ", no: "Audited, do not train on them: ", unknown: "Audited, too few to say: " }[found.advice]), `${found.words} (${several(found.responses, "response")}, ${ago(found.at)}).`);
}
