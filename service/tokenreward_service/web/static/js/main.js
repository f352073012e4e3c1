// Starts the page: which view the fragment asks for, what the service is doing, theme and key.

import { byId, setText } from "./dom.js";
import { jobView } from "./job.js";
import { jobsView } from "./jobs.js";
import { askForKey, key } from "./key.js";
import { playground } from "./playground.js";
import { look, stateSentence, stateWords, watchService } from "./service.js";
import { hideTip } from "./tip.js";
import { workersView } from "./workers.js";

const TITLES = { playground: "Playground", jobs: "Jobs", job: "Job", workers: "Workers" };
const MAKERS = { playground, jobs: jobsView, job: jobView, workers: workersView };
const views = {};
let shown = null;

/** `#/`, `#/play/<packed>`, `#/jobs`, `#/jobs/<id>?from=20`, `#/workers` */
function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [first = "", ...rest] = path.split("/");
  const name = first === "jobs" ? (rest[0] ? "job" : "jobs") : first === "workers" ? "workers" : "playground";
  return { name, rest, query: new URLSearchParams(query) };
}

function go() {
  const { name, rest, query } = route();
  hideTip();
  if (shown !== name) views[shown]?.leave?.();
  for (const view of Object.keys(MAKERS)) byId(view).hidden = view !== name;
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.dataset.view === name || (link.dataset.view === "jobs" && name === "job");
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${TITLES[name]} · tokenreward`;
  if (shown !== null && shown !== name) byId("main").focus({ preventScroll: true });
  shown = name;
  views[name] ??= MAKERS[name](byId(name));
  views[name].enter(rest, query);
}

/** The same state beside the dot and, where somebody has to wait, in a sentence below the header. */
function showState({ state }) {
  const link = byId("alive");
  link.dataset.alive = state;
  setText(link.querySelector(".words"), stateWords());
  const said = stateSentence();
  setText(byId("service"), said);
  byId("service").hidden = !said;
  byId("service").dataset.alive = state;
}

function themes() {
  const button = byId("theme");
  const root = document.documentElement;
  const cycle = ["system", "light", "dark"];
  const name = () => root.dataset.theme ?? "system";
  const label = () => {
    button.setAttribute("aria-label", `Theme: ${name()}`);
    button.title = `Theme: ${name()}`;
    button.textContent = { system: "◐", light: "○", dark: "●" }[name()];
  };
  button.addEventListener("click", () => {
    const next = cycle[(cycle.indexOf(name()) + 1) % cycle.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("tokenreward.theme", next);
    } catch {
      // It holds for this page, then.
    }
    label();
  });
  label();
}

byId("key").hidden = key.get() === null;
byId("key").addEventListener("click", async () => {
  if (await askForKey("Sent with every request. It stays in this tab and is forgotten when the tab closes.")) go();
  look();
});
byId("skip").addEventListener("click", (event) => (event.preventDefault(), byId("main").focus()));
addEventListener("hashchange", go);
themes();
watchService(showState);
go();
look();
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());
