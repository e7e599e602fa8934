import { play, partition, lag, crc32, murmur2 } from "../model/groups.js";
import { h, define, tries, pick, button, field, number, row, undo, table, shown, whole, oneOf, events, after, text, drawing, mono, print as url } from "../kit.js";

const SYS = "var(--sys)", QUIET = "var(--quiet)", NAMES = [..."ABCDEF"];
export const title = "Partitions and groups", system = "kafka", element = "sim-groups";
// In the address: n partitions, c the producer that sends next, a assignor, k key in the field, e events (see the model), in order.
const CLIENTS = [["rust", "librdkafka"], ["java", "Java"]], ASSIGNORS = ["range", "cooperative-sticky"], EVENT = /^([+!-][A-F]|[=*]\S{0,40}|[.~])$/;
const plain = (key) => (key ?? "").replace(/\s/g, "").slice(0, 40);
export const parse = (q) => ({ n: whole(q.get("n"), 3, 8, 1), client: oneOf(["rust", "java"], q.get("c")), assignor: oneOf(ASSIGNORS, q.get("a")), key: plain(q.get("k")), events: events(q, EVENT) });
export const print = (s) => url([["n", s.n], ["c", s.client], ["a", s.assignor], ["k", s.key], ["e", s.events.join(" ")]]);
const to = (n, client, assignor, key, e) => print({ n, client, assignor, key, events: e.split(" ") });
const sticky = "cooperative-sticky", killed = ["Killed: nobody knows yet", to(4, "java", sticky, "order-15", "+A +B *order-15 *order-6 *order-4 *order-2 . !A *order-15 *order-6 *order-4 *order-2 .")];
export const starts = {
  keys: { state: to(3, "java", "range", "order-17", "+A +B =order-17 =order-17 *order-17 *order-17"), links: [["Six partitions: the key moves", to(6, "rust", "range", "order-17", "+A +B =order-17 =order-17")], ["One key, one partition", to(3, "rust", "range", "order-4", "+A +B +C =order-4 =order-4 =order-4 =order-4")], ["An empty key", to(3, "java", "range", "", "+A = = *")]] },
  groups: { state: to(3, "rust", "range", "order-17", "+A +B =order-17 =order-4 =order-8 . =order-17 =order-5"), links: [["Four members, three partitions", to(3, "rust", "range", "order-17", "+A +B +C =order-17 =order-4 +D")], ["Nobody reads: it waits", to(3, "rust", "range", "order-17", "+A =order-17 =order-4 . -A =order-17 =order-4")], killed] },
  rebalance: { state: to(6, "rust", "range", "order-4", "+A +B +C"), links: [["Range stops all, sticky few", to(6, "rust", sticky, "order-4", "+A +B +C")], ["A leaves: who takes over?", to(6, "rust", sticky, "order-4", "+A +B +C -A")], killed] },
};
const story = (s) => play(s.n, s.events, s);
export const said = (s) => story(s).said || "An empty topic, and nobody reads.";

function picture(s, g) {
  const rows = Math.max(s.n, 1), members = Object.keys(g.owned), step = 38, height = 26 + rows * step, gap = (rows * step) / Math.max(members.length, 1);
  const y = (p) => 30 + p * step, my = (i) => 18 + gap * (i + 0.5), t = { fill: "currentColor", stroke: "none" };
  return drawing(340, Math.max(height, 26 + members.length * 30), 1.3, "Partitions and the members that read them", said(s) + " " + members.map((m) => `${m} has ${g.owned[m].join(", ") || "nothing"}`).join("; "), "g",
    text(0, 12, "partition", t), text(268, 12, "group", t),
    members.length > 0 && h("rect", { x: 262, y: 19, width: 77, height: Math.max(height, 26 + members.length * 30) - 22, "stroke-dasharray": "1.5 3", stroke: QUIET }),
    g.ends.map((end, p) => {
      const from = Math.max(0, end - 6), x0 = 22, cells = Array.from({ length: end - from }, (_, i) => from + i);
      return [text(0, y(p) + 5, p, { ...t, ...mono, "font-size": 12 }),
        h("path", { d: `M${x0} ${y(p) - 10}V${y(p) + 10}${cells.length ? "" : `M${x0} ${y(p) - 10}h14M${x0} ${y(p) + 10}h14`}` }),
        cells.map((o, i) => [h("rect", { x: x0 + i * 20, y: y(p) - 10, width: 20, height: 20, fill: o < g.read[p] ? "var(--paper)" : SYS, ...(p === g.hit && o === end - 1 ? { "data-from": "60 0" } : {}) }),
          text(x0 + 10 + i * 20, y(p) + 4, o, { ...mono, "text-anchor": "middle", stroke: "none", fill: o < g.read[p] ? "currentColor" : "var(--paper)", ...(p === g.hit && o === end - 1 ? { "data-from": "60 0" } : {}) })]),
      ];
    }),
    members.map((m, i) => { const dead = g.dead.includes(m); return [
      g.owned[m].map((p) => h("path", { d: `M${24 + Math.min(6, Math.max(g.ends[p], 0.7)) * 20} ${y(p)}H160L${228} ${my(i)}H${274}`, stroke: dead ? QUIET : SYS, "stroke-dasharray": dead ? "3 3" : false, "marker-end": dead ? "url(#g-quiet)" : "url(#g-sys)" })),
      h("path", { d: `M276 ${my(i) - 12}h52v24h-52l9-12z`, fill: "var(--paper)", "stroke-dasharray": g.owned[m].length && !dead ? false : "3 3" }),
      dead && h("path", { d: `M297 ${my(i) - 6}l12 12m0-12l-12 12` }), !dead && text(306, my(i) + 4, m, { ...t, "text-anchor": "middle", "font-weight": 600 })]; }));
}

export function body(s, set, el) {
  const g = story(s), l = lag(g), members = Object.keys(g.owned), free = NAMES.find((m) => !members.includes(m));
  const go = (e) => { set(after(s, e)); el.play(); };
  const both = ["rust", "java"].map((c) => partition(s.key, s.n, c));
  return [
    tries(element, el.links, print(s)),
    h("div", { class: "sim-two" }, shown(picture(s, g), said(s),
      h("ul", { class: "members" }, members.map((m) => h("li", null, h("b", null, m), " ", h("span", null, g.dead.includes(m) ? `killed; holds ${g.owned[m].join(", ") || "nothing"}` : g.waits && s.assignor === "range" ? "has stopped: a rebalance is under way" : g.owned[m].length ? "reads " + g.owned[m].join(", ") : "waits: no partition is left"),
        h("span", { class: "js" }, button("Leave", () => go("-" + m), { "aria-label": `Leave: ${m}`, disabled: g.waits || g.dead.includes(m) }), button("Kill", () => go("!" + m), { "aria-label": `Kill ${m}`, disabled: g.waits || g.dead.includes(m) }))))),
      h("p", { class: "js" }, button(free ? `Add member ${free}` : "The group is full", () => go("+" + free), { disabled: !free, "data-home": true }))),
      h("div", { class: "sim-ask js" },
        row(field("Key", s.key, (key) => set({ key: plain(key) }, true), { maxlength: 40 }), button("Produce", () => go((s.client === "java" ? "*" : "=") + s.key))),
        h("table", { class: "hash" }, h("caption", { class: "vh" }, "The partition of this key by each client"), h("tbody", null, [["librdkafka (Rust, C, Python)", "CRC32", crc32(s.key), both[0]], ["Java", "murmur2", murmur2(s.key), both[1]]].map((r) =>
          h("tr", null, h("th", { scope: "row" }, r[0]), h("td", null, r[3] === null ? "no key" : `${r[1]} ${r[2]}`), h("td", null, r[3] === null ? "by chance" : h("b", null, "partition ", r[3])))))),
        pick("Producer", "g-client", CLIENTS, s.client, (client) => set({ client })),
        pick("Assignor", "g-as", ASSIGNORS.map((a) => [a, a]), s.assignor, (assignor) => set({ assignor })),
        row(number("Partitions", s.n, 8, (n) => set({ n }), 1),
          button("All read", () => go(".")), button("45 s pass", () => go("~"))),
        undo(s, set))),
    table("Offsets", ["Partition", "Last key", "End", "Committed", "Lag", "Read by"], g.ends.map((e, p) => { const m = members.find((x) => g.owned[x].includes(p)); return [p, h("code", null, e ? g.last[p] || "(none)" : "\u2013"), e, g.read[p], l[p] ? h("b", null, l[p]) : 0, m ? m + (g.dead.includes(m) ? " (killed)" : "") : "nobody"]; })),
  ];
}

define(element, { starts, parse, print, body, said });
