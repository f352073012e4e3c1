// Rows of a JSONL file as items: the two layouts that the page reads. `tokenreward label` reads many more.

export const MOST_BYTES = 16 * 2 ** 20;
export const MOST_ROWS = 20_000;

/**
 * {items, rows, sides} of a file's text. `sides` names the responses of a row: none for a single one.
 * Raises Error, which names the line.
 */
export function rowsOf(text) {
  const lines = text.split("\n").map((line, i) => [line.trim(), i + 1]).filter(([line]) => line);
  if (!lines.length) throw new Error("There are no rows in this file.");
  if (lines.length > MOST_ROWS) throw new Error(`This file has ${lines.length} rows; the page takes ${MOST_ROWS}. Use \`tokenreward label\` for more.`);
  const rows = lines.map(([line, number]) => [parsed(line, number), number]);
  const [first] = rows[0];
  const sides = "chosen" in first && "rejected" in first ? ["chosen", "rejected"] : [];
  const single = ["response", "completion"].find((name) => name in first);
  if (!sides.length && !single) throw new Error(`Line ${rows[0][1]}: a row needs \`prompt\` and \`response\`, or \`prompt\`, \`chosen\` and \`rejected\`. \`tokenreward label\` reads other layouts.`);
  const items = rows.flatMap(([row, number]) => (sides.length ? sides : [single]).map((side) => ({ id: `${number}`, prompt: prompt(row, side, number), response: response(row, side, number) })));
  return { items, rows: rows.length, sides };
}

function parsed(line, number) {
  let row = null;
  try {
    row = JSON.parse(line);
  } catch (error) {
    throw new Error(`Line ${number} is not JSON: ${error.message}`);
  }
  if (row === null || typeof row !== "object" || Array.isArray(row)) throw new Error(`Line ${number} is not a JSON object.`);
  return row;
}

function prompt(row, side, number) {
  if (typeof row.prompt === "string" || Array.isArray(row.prompt)) return row.prompt;
  // TRL's conversational pairs without a prompt of their own: all but the last message.
  if (row.prompt === undefined && Array.isArray(row[side]) && row[side].length > 1) return row[side].slice(0, -1);
  throw new Error(`Line ${number}: \`prompt\` is neither text nor messages.`);
}

function response(row, side, number) {
  const found = Array.isArray(row[side]) ? row[side].at(-1) : row[side];
  if (typeof found === "string" && found) return found;
  if (found && typeof found === "object" && found.role === "assistant") return found;
  throw new Error(`Line ${number}: \`${side}\` is neither text nor messages that end with the assistant's.`);
}
