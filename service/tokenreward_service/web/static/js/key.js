// The API key of this tab: asked for when the service says 401, kept in sessionStorage, sent as a Bearer token.

import { byId } from "./dom.js";

const NAME = "tokenreward.key";
let asking = null;
let dismissed = 0;

export const key = {
  get: () => sessionStorage.getItem(NAME),
  set: (value) => sessionStorage.setItem(NAME, value),
  forget: () => sessionStorage.removeItem(NAME),
  /** How often somebody has been asked and gave none. */
  dismissed: () => dismissed,
};

/** Opens the dialog; resolves to whether there is a (new) key. Calls that come together share one dialog. */
export function askForKey(why) {
  byId("key").hidden = false; // a service without keys has no use for the button
  asking ??= open(why).finally(() => (asking = null));
  return asking;
}

function open(why) {
  const dialog = byId("ask-key");
  const input = byId("key-input");
  if (why) byId("ask-key-why").textContent = why;
  input.value = "";
  byId("key-forget").hidden = !key.get();
  dialog.showModal();
  return new Promise((resolve) => {
    const stop = new AbortController();
    const done = (answer) => {
      if (!answer) dismissed += 1;
      stop.abort();
      dialog.close();
      resolve(answer);
    };
    const on = (target, event, handler) => target.addEventListener(event, handler, { signal: stop.signal });
    on(byId("key-form"), "submit", (event) => {
      event.preventDefault();
      key.set(input.value.trim());
      done(true);
    });
    on(byId("key-cancel"), "click", () => done(false));
    on(byId("key-forget"), "click", () => {
      key.forget();
      done(false);
    });
    on(dialog, "cancel", () => done(false));
  });
}
