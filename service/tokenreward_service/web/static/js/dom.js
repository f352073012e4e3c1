// Builds elements. Text only ever becomes text nodes: there is no way from here to markup.

const SVG = "http://www.w3.org/2000/svg";

/** `el("p", {class: "quiet", onclick: f}, "text", child)`; attributes that are null or false are left out. */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** The element of that id. It must exist. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element #${id}`);
  return found;
}

/** Writes `text` only if it differs, so that nothing flickers and no observer wakes. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Tells people who listen, rather than look, what just happened. */
export function say(text) {
  byId("said").textContent = text;
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
