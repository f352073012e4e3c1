// Where rewards came from, as a list of names and values.

import { el } from "./dom.js";

export function provenanceList(provenance) {
  const { fingerprint } = provenance;
  const rows = [
    ["model", fingerprint.model],
    ["engine", `${fingerprint.engine} ${fingerprint.engine_version}, ${fingerprint.dtype}`],
    ["weights", fingerprint.model_hash],
    ["tokenizer", fingerprint.tokenizer_hash],
    ["fingerprint", provenance.fingerprint_digest],
    ...(provenance.models ?? []).map((use) => [`scores ${use.branches.join(", ")}`, modelName(use)]),
    ["template", `${provenance.template} · ${provenance.template_hash}`],
    ["estimator", `${provenance.estimator} · ${provenance.estimator_hash}`],
    ["tokenreward", `${provenance.tokenreward_version}, scoring version ${fingerprint.scoring_version}`],
  ];
  return el("dl", { class: "provenance" }, ...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

// What names exactly this: a version of an adapter, or a model with its fingerprint.
function modelName({ fingerprint, fingerprint_digest: digest }) {
  const { adapter, adapter_version: version, model } = fingerprint;
  return adapter ? `${adapter}@${version}, an adapter of ${model}` : `${model}@${digest}`;
}

export function provenance(value) {
  return el("details", { class: "origin" }, el("summary", {}, "Provenance"), provenanceList(value));
}
