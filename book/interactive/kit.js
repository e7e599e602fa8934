// What every interactive part shares: a tree of plain objects, printed as HTML by print.js and patched into the page at run time.
const SVG = "http://www.w3.org/2000/svg", HTML = "http://www.w3.org/1999/xhtml";

export function h(tag, attrs, ...kids) {
  const out = [];
  for (const k of kids.flat(9)) {
    if (k === null || k === undefined || k === false || k === "") continue;
    if (typeof k === "object") out.push(k);
    else if (typeof out.at(-1) === "string") out.push(out.pop() + k);
    else out.push(String(k));
  }
  return { tag, attrs: attrs ?? {}, kids: out };
}

function patch(at, kids) {
  // Line breaks between elements are the page's own, and no view has any.
  for (const n of [...at.childNodes]) if (n.nodeType === 3 && /^\n\s*$/.test(n.data)) n.remove();
  const old = [...at.childNodes];
  kids.forEach((k, i) => {
    let node = old[i];
    const text = typeof k !== "object";
    if (text ? node?.nodeType !== 3 : node?.localName !== k.tag) {
      const fresh = text ? document.createTextNode(k) : document.createElementNS(k.tag === "svg" || at.namespaceURI === SVG ? SVG : HTML, k.tag);
      node ? node.replaceWith(fresh) : at.append(fresh);
      node = fresh;
    }
    if (text) { if (node.data !== k) node.data = k; return; }
    for (const { name } of [...node.attributes]) if (k.attrs[name] === undefined || k.attrs[name] === false) node.removeAttribute(name);
    for (const [name, x] of Object.entries(k.attrs)) {
      if (typeof x === "function" || name === "value" || name === "checked" || name === "selected") { if (node[name] !== x) node[name] = x; }
      else if (x !== false && x !== undefined && node.getAttribute(name) !== String(x)) node.setAttribute(name, x === true ? "" : x);
    }
    if (k.tag !== "textarea") patch(node, k.kids);
  });
  old.slice(kids.length).forEach((n) => n.remove());
}

const LOST = "The address holds no state that this part can show: it starts from the beginning.";

// A state from an address, or null: an address is data from strangers, and only what comes back the same from its own state is one.
export function read(view, query) {
  try {
    const params = new URLSearchParams(query), state = view.parse(params);
    if (query.length > 6000 || view.print(state) !== params.toString()) return null;
    view.body(state, () => {}, { links: [] });
    return state;
  } catch {
    return null;
  }
}

// view: starts { name: { state, links } }; parse(params) and print(state) are the address's two directions;
// body(state, set, element) is the tree; said(state) the sentence.
export function define(name, view) {
  if (!globalThis.customElements) return;
  customElements.define(name, class extends HTMLElement {
    connectedCallback() {
      this.links = view.starts[this.dataset.start].links;
      this.load();
      if (this.here()) this.scrollIntoView();
      this.heard = () => { if (this.here() || (this.was && !location.hash)) { this.load(); this.say(); } };
      addEventListener("hashchange", this.heard);
    }
    disconnectedCallback() { removeEventListener("hashchange", this.heard); clearTimeout(this.wait); }
    here() { return location.hash.startsWith(`#${name}?`); }
    load() {
      this.was = this.here();
      const state = this.was ? read(view, location.hash.slice(name.length + 2)) : null;
      this.lost = this.was && !state;
      this.state = state ?? view.parse(new URLSearchParams(view.starts[this.dataset.start].state));
      this.draw();
    }
    set(change, quiet) {
      this.state = { ...this.state, ...change };
      this.lost = false;
      const was = document.activeElement;
      history.replaceState(null, "", `#${name}?${view.print(this.state)}`);
      this.was = true;
      this.draw();
      if (was !== document.body && !was.isConnected) (this.querySelector("[data-home]") ?? this).focus();
      if (!quiet) this.say();
    }
    draw() {
      const live = this.querySelector(":scope > [role=status]")?.textContent ?? "";
      patch(this, tree(view, this.state, (c, q) => this.set(c, q), this, live));
    }
    say() {
      clearTimeout(this.wait);
      this.wait = setTimeout(() => { const s = this.querySelector(":scope > [role=status]"); if (s) s.textContent = (this.lost ? LOST + " " : "") + view.said(this.state); }, 400);
    }
    play() {
      if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
      for (const el of this.querySelectorAll("[data-from]")) {
        for (const a of el.getAnimations()) a.cancel();
        const [x, y] = el.dataset.from.split(" ");
        el.animate([{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }], { duration: 280, easing: "ease-in-out" });
      }
    }
  });
}

export const tree = (view, state, set, el, live = "") => [
  el.lost && h("p", { class: "empty" }, LOST),
  ...view.body(state, set, el),
  h("p", { class: "vh", role: "status" }, live),
].flat().filter(Boolean);

// Parts that look the same everywhere.
export const tries = (name, links, now) => h("nav", { class: "tries", "aria-label": "Try this" }, h("b", null, "Try"),
  h("ul", null, links.map(([label, to]) => h("li", null, h("a", { href: `#${name}?${to}`, "aria-current": to === now && "true" }, label)))));
export const bar = (label, ...rest) => h("header", null, h("b", null, label), rest);
export const pick = (legend, name, options, value, on) => h("fieldset", { class: "pick1" }, h("legend", null, legend),
  options.map(([v, label]) => h("label", null, h("input", { type: "radio", name, value: v, checked: v === value, onchange: () => on(v) }), h("span", null, label))));
export const button = (label, onclick, more) => h("button", { type: "button", onclick, ...more }, label);
export const field = (label, value, on, more) => h("label", null, h("span", null, label), h("input", { type: "text", value, spellcheck: "false", autocapitalize: "off", autocomplete: "off", oninput: (e) => on(e.target.value), ...more }));
export const number = (label, value, max, on, min = 0) => h("label", null, h("span", null, label), h("input", { type: "number", min, max, value: String(value), onchange: (e) => on(whole(e.target.value, value, max, min)) }));
export const tick = (label, checked, on) => h("label", { class: "tick" }, h("input", { type: "checkbox", checked, onchange: (e) => on(e.target.checked) }), label);
export const row = (...kids) => h("div", { class: "row" }, kids);
export const undo = (s, set) => row(button("Undo", () => set({ events: s.events.slice(0, -1) }), { disabled: !s.events.length }), button("Start again", () => set({ events: [] }), { disabled: !s.events.length }));
export const table = (label, head, rows) => [bar(label), h("div", { class: "table-wrapper", tabindex: 0, role: "region", "aria-label": label }, h("table", null, h("thead", null, h("tr", null, head.map((c) => h("th", { scope: "col" }, c)))),
  h("tbody", null, rows.map(([first, ...rest]) => h("tr", null, h("th", { scope: "row" }, first), rest.map((c) => h("td", null, c)))))))];
export const shown = (picture, said, ...below) => h("div", { class: "sim-draw" }, picture, h("p", { class: "said" }, said), below);
// What an address holds: a whole number within bounds, one of a list, events of a kind, the newest sixty.
export const whole = (x, d, max, min = 0) => { const n = Math.round(Number(x ?? d)); return n >= min && n <= max ? n : d; };
export const oneOf = (list, x) => (list.includes(x) ? x : list[0]);
export const events = (q, kind) => (q.get("e") ?? "").split(" ").filter((e) => kind.test(e)).slice(-60);
export const after = (s, e) => ({ events: [...s.events, e].slice(-60) });

// A sentence with the mark of its claim, as the page's list of sources has it; where there is no page, what the guide makes one of.
export const mark = (sentence, id) => {
  const source = globalThis.document?.getElementById("e-" + id);
  if (!source) return `${sentence} {{#ev ${id}}}`;
  const kind = source.className, word = { run: "run", source: "source" }[kind] ?? "run + source", n = [...source.parentNode.children].indexOf(source) + 1;
  return [sentence.slice(0, -1), h("span", { class: "nw" }, sentence.slice(-1) + "\u00a0", h("a", { class: "ev " + kind, href: "#e-" + id, "data-n": n, "aria-label": `Proof ${n}: ${word}` }, word))];
};
export const text = (x, y, s, more) => h("text", { x, y, ...more }, s);
export const drawing = (width, height, scale, title, desc, id, ...kids) => h("svg", { class: "drawing", width: width * scale, height: height * scale, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-labelledby": `${id}-t ${id}-d`, fill: "none", stroke: "currentColor", "stroke-width": 1.5, "font-size": 12 },
  h("title", { id: id + "-t" }, title), h("desc", { id: id + "-d" }, desc),
  h("defs", null, ["sys", "quiet", "ink"].map((c) => h("marker", { id: `${id}-${c}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 5.5, markerHeight: 5.5, orient: "auto" }, h("path", { d: "M0 .5l8 3.5-8 3.5z", fill: `var(--${c})`, stroke: "none" })))), kids);
export const mono = { "font-family": "ui-monospace,monospace", class: "mono", "font-size": 11 };
export const print = (pairs) => new URLSearchParams(pairs).toString();
