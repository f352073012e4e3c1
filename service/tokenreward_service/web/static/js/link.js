// What the playground shows, packed into a URL fragment: JSON, deflated, base64url. Fragments never leave the browser.

const MOST_BYTES = 2_000_000;

export async function pack(state) {
  const bytes = await through(new Blob([JSON.stringify(state)]).stream(), new CompressionStream("deflate-raw"));
  let binary = "";
  for (let i = 0; i < bytes.length; i += 0x8000) binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** The state of a link. Raises Error if it is none of ours. */
export async function unpack(packed) {
  try {
    const binary = atob(packed.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (c) => c.charCodeAt(0));
    const state = JSON.parse(new TextDecoder().decode(await through(new Blob([bytes]).stream(), new DecompressionStream("deflate-raw"))));
    if (!valid(state)) throw new Error("shape");
    return state;
  } catch {
    throw new Error("This link is damaged: nothing in it could be restored.");
  }
}

/** Links are written by anybody: only what the form could have made itself is let in. */
export function valid(state) {
  const text = (value) => typeof value === "string";
  const prompt = text(state.prompt) || (Array.isArray(state.prompt) && state.prompt.length > 0 && state.prompt.every((turn) => text(turn?.role) && text(turn?.content)));
  const responses = Array.isArray(state.responses) && [1, 2].includes(state.responses.length) && state.responses.every(text);
  const branches = (list) => list && typeof list === "object" && Object.values(list).every((b) => b && typeof b === "object" && (b.directive === undefined || text(b.directive)));
  const template = text(state.template) || (text(state.template?.name) && text(state.template.context ?? "") && branches(state.template.branches));
  const fields = (found) => found && typeof found === "object" && Object.values(found).every((v) => text(v) || (Array.isArray(v) && v.every(text)));
  const context = state.context === undefined || fields(state.context);
  return prompt && responses && template && context && text(state.estimator) && (state.model === undefined || text(state.model)) && (state.pool === undefined || text(state.pool)) && (state.job === undefined || /^[0-9a-zA-Z_-]{1,64}$/.test(state.job));
}

async function through(stream, transform) {
  const chunks = [];
  let size = 0;
  for await (const chunk of iterate(stream.pipeThrough(transform))) {
    size += chunk.length;
    if (size > MOST_BYTES) throw new Error("too large");
    chunks.push(chunk);
  }
  const all = new Uint8Array(size);
  chunks.reduce((at, chunk) => (all.set(chunk, at), at + chunk.length), 0);
  return all;
}

// Safari's streams are not iterable by themselves.
async function* iterate(stream) {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}
