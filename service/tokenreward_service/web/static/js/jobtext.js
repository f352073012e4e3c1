// What a job's results say: its prompts and responses as they were sent, and the text of tokens that it did not include.

import { call, get, post } from "./api.js";

/** `rows` are ItemResults. Returns {rows, items, note}: rows with tokens where they could be had, items by index. */
export async function withTexts(job, rows, signal) {
  const items = await sent(job, rows, signal);
  const bare = rows.filter((row) => row.rewards && !row.tokens && items.has(row.index));
  if (!bare.length) return { rows, items, note: "" };
  try {
    const told = await spelled(job, bare.map((row) => items.get(row.index)), signal);
    const texts = new Map(bare.map((row, i) => [row.index, sameIds(row, told[i]) ? told[i] : null]));
    const missing = bare.filter((row) => !texts.get(row.index)).length;
    const spelt = rows.map((row) => (texts.get(row.index) ? { ...row, tokens: texts.get(row.index).tokens, offsets: texts.get(row.index).offsets } : row));
    return { rows: spelt, items, note: missing ? "Some tokens are shown as ids: the worker spells these responses otherwise now." : "" };
  } catch (error) {
    if (signal.aborted) throw error;
    return { rows, items, note: "Tokens are shown as ids: no worker with this job's set-up can spell them now." };
  }
}

async function sent(job, rows, signal) {
  const items = new Map();
  const path = `/v1/jobs/${encodeURIComponent(job.id)}/items`;
  const wanted = rows.map((row) => row.index);
  const together = wanted.length && wanted.at(-1) - wanted[0] === wanted.length - 1;
  const asks = together ? [[wanted[0], wanted.length]] : wanted.map((index) => [index, 1]);
  for (const [from, limit] of asks) {
    const page = await get(`${path}?from=${from}&limit=${limit}`, { signal });
    for (const { index, item } of page.items) if (item) items.set(index, item);
  }
  return items;
}

/** The items' tokens as text. The worker's cache has their log-probs, so this scores nothing while it remembers them. */
async function spelled(job, items, signal) {
  const { fingerprint_digest: set, template } = job.provenance;
  const answer = await post("/v1/label", { items, model: `${job.model}@${set}`, template, estimator: job.estimator, include: ["tokens"] }, { signal, headers: { Prefer: "wait=10" } });
  // Nobody asked for this job, so it must not stand in the list of jobs.
  call(`/v1/jobs/${(answer.job ?? answer).id}`, { method: "DELETE" }).catch(() => {});
  return answer.results;
}

const sameIds = (row, told) => told?.tokens && told.token_ids.length === row.token_ids.length && told.token_ids.every((id, i) => id === row.token_ids[i]);

/** The response of an item as text, where it came as text. */
export function textOf(item) {
  return typeof item?.response === "string" ? item.response : undefined;
}

/** The prompt of an item as turns. */
export function turnsOf(item) {
  return typeof item.prompt === "string" ? [{ role: "user", content: item.prompt }] : item.prompt.map(({ role, content }) => ({ role, content: said(content) }));
}

function said(content) {
  if (typeof content === "string") return content;
  return (content ?? []).map((part) => part.text ?? `[${part.type}]`).join("");
}
