// Offsets in Citewell are Unicode code points. JavaScript strings are indexed in UTF-16 units: "𝜏".length === 2.
// Every offset from the server passes through here before it touches a string or a Range.

/** UTF-16 index of the code point at `points`. One pass, no array of the whole text. */
export function unitsAt(text, points, fromUnits = 0, fromPoints = 0) {
  let i = fromUnits;
  for (let p = fromPoints; p < points && i < text.length; p++) i += text.codePointAt(i) > 0xffff ? 2 : 1;
  return i;
}

/** The same for many offsets at once; the text is walked once. */
export function unitsOf(text, points) {
  const found = new Map();
  let unit = 0, point = 0;
  for (const p of [...points].sort((a, b) => a - b)) {
    unit = unitsAt(text, p, unit, point);
    point = p;
    found.set(p, unit);
  }
  return found;
}

export function slicePoints(text, start, end) {
  const a = unitsAt(text, start);
  return text.slice(a, unitsAt(text, end, a, start));
}

export function countPoints(text) {
  let n = 0;
  for (let i = 0; i < text.length; i += text.codePointAt(i) > 0xffff ? 2 : 1) n++;
  return n;
}

/** An element with properties and children. Text only ever enters as text nodes; nothing here parses HTML. */
export function el(tag, props = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name);
  if (classes.length) node.className = classes.join(" ");
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "data") Object.assign(node.dataset, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function svg(tag, props = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(props)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** What the server says in words, with its `commands` set as code. */
export function withCode(text) {
  return text.split(/`([^`]+)`/).map((part, i) => (i % 2 ? el("code", {}, part) : part));
}

export const dollars = (x) => (x === 0 ? "$0" : "$" + x.toFixed(9).replace(/(\.\d\d\d*?)0+$/, "$1"));
export const millis = (ms) => (ms >= 1000 ? (ms / 1000).toFixed(1) + " s" : ms >= 10 ? Math.round(ms) + " ms" : ms.toFixed(1) + " ms");
export const plural = (n, one, many = one + "s") => `${n} ${n === 1 ? one : many}`;
