// What the list of jobs and the page of one job share: progress, state, and what can be done to a job.

import { call, explain, post } from "./api.js";
import { el, say, setText } from "./dom.js";
import { isOver } from "./follow.js";
import { count, duration, rate, share } from "./format.js";
import { visible } from "./visible.js";

const path = (job) => `/v1/jobs/${encodeURIComponent(job.id)}`;

/** An element that shows a job's progress, and `update(job)`. */
export function progress() {
  const bar = el("progress", { max: 1, value: 0, "aria-label": "Progress" });
  const text = el("span", { class: "numbers" });
  const node = el("div", { class: "progress" }, bar, text);
  return {
    node,
    update(job) {
      bar.max = job.total_items || 1;
      bar.value = job.done_items;
      bar.dataset.state = outcome(job).look;
      setText(text, `${count(job.done_items)} / ${count(job.total_items)} · ${share(job.total_items ? job.done_items / job.total_items : 0)}`);
    },
  };
}

/** A badge that says a job's state in words; colour only repeats it. */
export function stateTag() {
  const node = el("span", { class: "tag state" });
  return {
    node,
    update(job) {
      const { words, look } = outcome(job);
      setText(node, words);
      node.dataset.state = look;
    },
  };
}

/** A job's state in words, and how it looks: a job that is over is as good as what came of its items. */
function outcome(job) {
  if (job.waiting) return { words: `${job.state}, not served`, look: job.state };
  if (job.state !== "succeeded" || !job.failed_items) return { words: job.state, look: job.state };
  if (job.failed_items === job.total_items) return { words: "all failed", look: "failed" };
  return { words: `${count(job.failed_items)} failed`, look: "partly" };
}

/** What a job is called: by what it was made from, else by its id. */
export function nameOf(job) {
  return job.origin?.name ? visible(job.origin.name) : job.id.slice(0, 8);
}

export const speed = (job) => rate(job.tokens_per_second);

/** "12 s left" while a job runs, "took 12 s" once it is over. */
export function timeOf(job) {
  if (isOver(job)) return job.finished_at && job.started_at ? `took ${duration(job.finished_at - job.started_at)}` : "–";
  return job.eta_seconds === null || job.eta_seconds === undefined ? "–" : `${duration(job.eta_seconds)} left`;
}

/** Cancel, retry and delete; `changed(job or null)` is called with what the service says, null for a deleted job. */
export function jobActions(changed, failed) {
  let job = null;
  const act = (name, what, done) => async () => {
    try {
      const answer = await what();
      changed(answer);
      say(done);
    } catch (error) {
      failed(explain(error));
    }
  };
  const button = (name, handler) => el("button", { type: "button", class: "small", onclick: handler }, name);
  const cancel = button("Cancel", act("cancel", () => post(`${path(job)}/cancel`), "Job cancelled."));
  const retry = button("Retry", act("retry", () => post(`${path(job)}/retry`), "Job queued again."));
  const remove = button("Delete", async () => {
    // Asking twice in place: no dialog, and no undo that could not be kept.
    if (remove.dataset.sure === undefined) {
      remove.dataset.sure = "";
      remove.textContent = "Sure?";
      setTimeout(() => (delete remove.dataset.sure, (remove.textContent = "Delete")), 4000);
      return;
    }
    await act("delete", async () => (await call(path(job), { method: "DELETE" }), null), "Job deleted.")();
  });
  return {
    node: el("div", { class: "actions" }, cancel, retry, remove),
    update(next) {
      job = next;
      const over = isOver(job);
      const again = job.waiting?.retry || (over && !job.emptied && (job.failed_items > 0 || job.done_items < job.total_items));
      for (const [node, on] of [[cancel, !over], [retry, again], [remove, over]]) node.hidden = !on;
      for (const [node, name] of [[cancel, "Cancel"], [retry, "Retry"], [remove, "Delete"]]) node.setAttribute("aria-label", `${name} job ${job.id.slice(0, 8)}`);
    },
  };
}
