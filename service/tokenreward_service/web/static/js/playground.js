// The playground: what one asks, and the heat maps that come back.

import { call, explain, get, post, records } from "./api.js";
import { answerPanel } from "./answer.js";
import { contextsEditor } from "./contexts.js";
import { byId, el, say, setText } from "./dom.js";
import { draft, keepDraft } from "./draft.js";
import { EXAMPLES } from "./examples.js";
import { requestBody } from "./exports.js";
import { follow } from "./follow.js";
import { several } from "./format.js";
import { unpack, valid } from "./link.js";
import { preview } from "./preview.js";
import { promptEditor } from "./prompt.js";
import { responsesEditor } from "./responses.js";
import { served, service, untilServed, watchService } from "./service.js";
import { templateEditor } from "./template.js";

const WAIT_SECONDS = 10;

export function playground() {
  const model = byId("model");
  const estimator = byId("estimator");
  const pool = byId("pool");
  const status = byId("status");
  const button = byId("label");
  const answer = answerPanel(byId("answer"));
  const noted = () => {
    refresh();
    const now = asked();
    answer.outdated(JSON.stringify(now));
    keepDraft(now, seen);
  };
  const edited = () => (contexts.offer(template.chosen()), noted());
  const prompt = promptEditor(edited);
  const responses = responsesEditor(edited);
  const template = templateEditor(edited);
  const contexts = contextsEditor(noted);
  const refresh = preview(asked);
  let estimators = [];
  let running = null;
  let seen = "";
  let passing = false; // whether what is told is over as soon as a worker is there

  function asked() {
    const context = contexts.get();
    return {
      prompt: prompt.get(),
      responses: responses.get(),
      template: template.get(),
      estimator: estimator.value || "contrast",
      ...(Object.keys(context).length ? { context } : {}),
      ...(model.value ? { model: model.value } : {}),
      ...(pool.value ? { pool: pool.value } : {}),
    };
  }
  function fill({ prompt: p, responses: r, ...options }) {
    prompt.set(p);
    responses.set(r);
    template.set(options.template ?? "revision");
    choose(estimator, options.estimator ?? "contrast");
    choose(model, options.model ?? "");
    choose(pool, options.pool ?? "");
    contexts.offer(template.chosen());
    contexts.set(options.context);
    formula();
    refresh();
  }
  function tell(text, bad = false) {
    passing = false;
    setText(status, text);
    status.className = bad ? "error" : "quiet";
  }
  /** Tells of an error; one that only says that the service is not there yet does not stay. */
  function trouble(error) {
    tell(explain(error), true);
    passing = error instanceof TypeError || [502, 503, 504].includes(error.status);
  }
  const formula = () => setText(byId("formula"), estimators.find((e) => e.name === estimator.value)?.formula.replace(/^/, "reward = ") ?? "\u00a0");

  /** An estimator was made for a template, which is taken where the chosen one lacks its branches. */
  function fitTemplate() {
    const wanted = estimators.find((e) => e.name === estimator.value);
    const there = template.chosen()?.branches ?? {};
    if (wanted?.template && !wanted.branches.every((name) => name in there)) template.set(wanted.template);
    if (wanted?.fields?.length && !wanted.fields.some((name) => name in (template.chosen()?.fields ?? {}))) template.set(wanted.template);
  }

  async function label() {
    const question = asked();
    const empty = question.responses.findIndex((text) => text === "");
    if (question.prompt === "" || empty >= 0) {
      tell(question.prompt === "" ? "Write a prompt first." : "Write a response first.", true);
      byId(question.prompt === "" ? "prompt-text" : `response-${"ab"[empty]}`).focus();
      return;
    }
    running?.abort();
    const mine = (running = new AbortController());
    button.setAttribute("aria-busy", "true");
    tell(served() ? "Labeling…" : "Waiting for a worker…");
    try {
      if (service.state !== "locked") await untilServed(mine.signal);
      tell("Labeling…");
      const found = await labeled(question, mine.signal, tell);
      performance.mark("answer");
      answer.show(question, found);
      requestAnimationFrame(() => setTimeout(() => performance.measure("heat-map", "answer")));
      const tokens = found.results.reduce((sum, result) => sum + (result.rewards?.length ?? 0), 0);
      tell(`${several(tokens, "token")} labeled by ${found.provenance.fingerprint.model}.`);
    } catch (error) {
      if (!mine.signal.aborted) trouble(error);
    } finally {
      if (running === mine) button.removeAttribute("aria-busy");
    }
  }

  /** Restores what a link holds. Nothing is computed: results come from the job, as long as the service has it. */
  async function restore(packed) {
    try {
      const state = await unpack(packed);
      fill(state);
      if (!state.job) return tell("Restored from the link. Press Label to see the rewards.");
      tell("Fetching the results of this link…");
      const job = await get(`/v1/jobs/${state.job}`);
      const found = await results(job);
      if (found.results.length !== state.responses.length) throw new Error("These are not the results of this link. Press Label.");
      answer.show(asked(), found);
      tell("Restored from the link.");
    } catch (error) {
      const gone = error.status === 404;
      if (gone) tell("Restored from the link. Its results have expired here: press Label to make them again.");
      else trouble(error);
    }
  }

  async function catalogue() {
    const [models, templates, known] = await Promise.all([get("/v1/models"), get("/v1/templates"), get("/v1/estimators")]);
    const names = [...new Set(models.models.map((m) => m.name))];
    const alive = new Set(models.models.filter((m) => m.workers).map((m) => m.name));
    const before = model.value;
    model.replaceChildren(...(alive.size === 1 || !names.length ? [el("option", { value: "" }, names.length ? `${[...alive][0]}` : "the only one")] : []), ...names.filter((n) => alive.size !== 1 || !alive.has(n)).map((name) => el("option", { value: name }, alive.has(name) ? name : `${name} (no worker)`)));
    choose(model, before);
    estimators = known.estimators;
    const wanted = estimator.value || "contrast";
    estimator.replaceChildren(...estimators.map((e) => el("option", {}, e.name)));
    choose(estimator, wanted);
    template.offer(templates.templates);
    contexts.offer(template.chosen());
    formula();
  }

  byId("ask").addEventListener("submit", (event) => (event.preventDefault(), label()));
  byId("ask").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) (event.preventDefault(), label());
  });
  estimator.addEventListener("change", () => (formula(), fitTemplate(), edited()));
  for (const choice of [model, pool]) choice.addEventListener("change", edited);
  // Models come and go with workers, and what was said of a service that was away holds no longer.
  watchService((_, before) => {
    if (!served() || ["ready", "busy"].includes(before)) return;
    if (passing) tell("");
    if (before !== "connecting" || !estimators.length) catalogue().catch(trouble);
  });
  const example = byId("example");
  example.append(...EXAMPLES.map((e, i) => el("option", { value: i }, e.name)));
  example.addEventListener("change", () => {
    if (example.value === "") return;
    fill({ ...asked(), ...EXAMPLES[Number(example.value)] });
    example.value = "";
    edited();
    say("Example loaded.");
  });
  const kept = draft();
  fill(kept && valid(kept.asked) ? kept.asked : EXAMPLES[0]);

  return {
    async enter([packed]) {
      await catalogue().catch(trouble);
      const link = packed ?? "";
      // After a reload the form holds what was typed since the link was opened.
      if (link && link !== seen && link !== kept?.link) await restore(link);
      seen = link;
    },
  };
}

/** {job, results, provenance}: at once, or by following the job when the service says 202. */
async function labeled(question, signal, tell) {
  const response = await call("/v1/label", { method: "POST", json: requestBody(question), signal, headers: { Prefer: `wait=${WAIT_SECONDS}` } });
  if (response.status === 200) return response.json();
  let job = await response.json();
  for await (job of follow(job.id, signal)) tell(`${job.state}, ${job.done_items} of ${job.total_items} done…`);
  return results(job, signal);
}

async function results(job, signal) {
  const found = { job, results: [], provenance: job.provenance };
  for await (const record of records(await call(`/v1/jobs/${job.id}/results`, { signal }))) if ("index" in record) found.results.push(record);
  return found;
}

function choose(select, value) {
  if (value !== "" && ![...select.options].some((option) => option.value === value)) select.append(el("option", { value }, value));
  select.value = value;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}
