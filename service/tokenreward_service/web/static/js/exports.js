// The same request elsewhere: as curl, as Python. Text is quoted for the language it goes into.

/** The body of POST /v1/label for what the playground asks. */
export function requestBody(asked) {
  const prompt = typeof asked.prompt === "string" ? asked.prompt : asked.prompt.map(({ role, content }) => ({ role, content }));
  return {
    items: asked.responses.map((response) => ({ prompt, response, ...(asked.context ? { context: asked.context } : {}) })),
    ...(asked.model ? { model: asked.model } : {}),
    template: asked.template,
    estimator: asked.estimator,
    ...(asked.pool ? { pool: asked.pool } : {}),
    include: ["logprobs", "tokens", ...(asked.pool ? ["segments"] : [])],
  };
}

export function asCurl(asked, address, hasKey) {
  const lines = [`curl -sS ${shell(`${address}/v1/label`)}`, `-H 'Content-Type: application/json'`];
  if (hasKey) lines.push(`-H "Authorization: Bearer $TOKENREWARD_API_KEY"`);
  lines.push(`--data-binary ${shell(JSON.stringify(requestBody(asked)))}`);
  return `${lines.join(" \\\n  ")}\n`;
}

export function asPython(asked, address) {
  const { items, ...options } = requestBody(asked);
  const given = Object.entries(options).map(([name, value]) => `        ${name}=${python(value)},\n`);
  return [
    "from tokenreward import Client\n",
    `with Client(${python(address)}) as client:  # the key, if any: TOKENREWARD_API_KEY`,
    "    answer = client.label(",
    `        [\n${items.map((item) => `            ${python(item)},\n`).join("")}        ],`,
    `${given.join("")}    )`,
    "for result in answer.results:",
    "    print(result.error or list(zip(result.tokens, result.rewards)))\n",
  ].join("\n");
}

/** One shell word, whatever it holds. */
function shell(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function python(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([k, v]) => `${python(k)}: ${python(v)}`).join(", ")}}`;
  // A JSON string is a Python string too, but for characters that are invisible in source.
  return JSON.stringify(value).replace(/[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
