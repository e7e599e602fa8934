// Prints what a part shows before any script runs: for each of its starts the drawing, the sentence and the table.
// A page never loads this; the guide's tests do, and hold what is printed against printed/NAME.json.
import { tree } from "./kit.js";

const esc = (s) => String(s).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt()};`).replace(/\n/g, "&#10;");
export function html(v) {
  if (typeof v !== "object") return esc(v);
  const put = Object.entries(v.attrs).filter(([n, x]) => x !== false && x !== undefined && typeof x !== "function" && !(v.tag === "textarea" && n === "value"));
  return `<${v.tag}${put.map(([n, x]) => (x === true ? " " + n : ` ${n}="${esc(x)}"`)).join("")}>` +
    (/^(input|br|col)$/.test(v.tag) ? "" : (v.tag === "textarea" ? esc(v.attrs.value) : v.kids.map(html).join("")) + `</${v.tag}>`);
}

export const printed = (view, { truth }) => ({
  title: view.title, system: view.system, element: view.element,
  starts: Object.fromEntries(Object.entries(view.starts).map(([name, { state, links }]) => {
    const s = view.parse(new URLSearchParams(state)), [caption, head, rows] = truth(name);
    return [name, { said: view.said(s), body: tree(view, s, () => {}, { links }).map(html).join(""), caption, head, rows }];
  })),
});
