import { start, step, all } from "../model/log.js";
import { h, define, tries, bar, pick, button, field, number, row, undo, table, shown, whole, oneOf, events, after, text, drawing, mono, print as url } from "../kit.js";

const SYS = "var(--sys)", QUIET = "var(--quiet)";
export const title = "Retention, compaction and replay", system = "kafka", element = "sim-log";
// In the address: p policy, d days of retention (0 for ever), o auto.offset.reset, k and v what is appended next, e events (see the model), in order.
const EVENT = /^(\+[\w-]{1,12}(=[\w-]{1,12})?|t\d{1,3}|c|r\d{1,3})$/, POLICIES = ["delete", "compact"], RESETS = ["earliest", "latest"];
const plain = (x, d) => (x ?? d).replace(/[^\w-]/g, "").slice(0, 12);
export const parse = (q) => ({ policy: oneOf(POLICIES, q.get("p")), days: whole(q.get("d"), 3, 365), reset: oneOf(RESETS, q.get("o")), key: plain(q.get("k"), "ann"), value: plain(q.get("v"), "paris"), events: events(q, EVENT) });
export const print = (s) => url([["p", s.policy], ["d", s.days], ["o", s.reset], ["k", s.key], ["v", s.value], ["e", s.events.join(" ")]]);
const to = (policy, days, reset, e) => print({ policy, days, reset, key: "ann", value: "rome", events: e.split(" ") });
const moved = "+ann=oslo +bob=bonn +ann=paris t1 +cleo=rome c";
export const starts = {
  retention: { state: to("delete", 3, "earliest", "+ann=oslo +bob=bonn t1 +ann=paris t1 +cleo=rome t1 r0"), links: [["Compacted: offsets with gaps", to("compact", 0, "earliest", moved + " r0")], ["The newest value is still written to", to("compact", 0, "earliest", "+ann=oslo t1 +ann=paris c r0")], ["A tombstone goes one pass later", to("compact", 0, "earliest", "+ann=oslo +ann t1 +bob=bonn c t1 +cleo=rome c r0")]] },
  replay: { state: to("delete", 7, "earliest", "+ann=oslo +bob=bonn t1 +ann=paris t1 +cleo=rome r0 r2 r0"), links: [["Too late, and earliest", to("delete", 1, "earliest", "+ann=oslo t1 +bob=bonn t1 +cleo=rome r0")], ["Too late, and latest", to("delete", 1, "latest", "+ann=oslo t1 +bob=bonn t1 +cleo=rome r0")], ["From a gap: the next one", to("compact", 0, "earliest", moved + " r0")]] },
};
const run = (s) => s.events.reduce(step, start(s));
export const said = (s) => run(s).said || "An empty log.";

function picture(s, now) {
  const cell = 42, wide = 7, from = Math.max(0, now.end - wide), t = { fill: "currentColor", stroke: "none" }, kept = new Map(all(now).map((r) => [r.offset, r])), x = (o) => 8 + (o - from) * cell;
  const active = now.segments.at(-1), closedTo = active.from;
  return drawing(340, 138, 1.3, "The log, the oldest offset on the left", said(s), "l",
    text(0, 12, `day ${now.day}`, t), text(337, 12, "written to", { ...t, "text-anchor": "end" }),
    h("path", { d: `M4 24H336M4 84H336` }), now.end > from && h("path", { d: `M${Math.max(4, x(closedTo))} 20V92`, "stroke-dasharray": "1.5 3", stroke: QUIET }),
    Array.from({ length: now.end - from }, (_, i) => from + i).map((o) => { const r = kept.get(o); return [
      text(x(o) + 18, 104, o, { ...mono, "text-anchor": "middle", stroke: "none", fill: r ? "currentColor" : QUIET }),
      r ? [h("rect", { x: x(o), y: 30, width: 36, height: 48, fill: r.value === null ? "var(--paper)" : o === now.got ? SYS : "var(--wash)", stroke: SYS, "stroke-dasharray": r.value === null ? "3 3" : false, ...(o === now.end - 1 ? { "data-from": "40 0" } : {}) }),
        text(x(o) + 18, 50, r.key.slice(0, 5), { ...mono, "font-size": 10, "text-anchor": "middle", stroke: "none", fill: o === now.got && r.value !== null ? "var(--paper)" : "currentColor" }),
        text(x(o) + 18, 66, (r.value ?? "\u2013").slice(0, 5), { ...mono, "font-size": 10, "text-anchor": "middle", stroke: "none", fill: o === now.got && r.value !== null ? "var(--paper)" : "currentColor" })]
      : h("rect", { x: x(o), y: 30, width: 36, height: 48, stroke: QUIET, "stroke-dasharray": "1.5 3" })]; }),
    now.got !== null && h("path", { d: `M${x(now.got) + 18} 132V${110}`, stroke: SYS, "marker-end": "url(#l-sys)" }), now.got !== null && text(Math.min(x(now.got) + 26, 292), 130, "reader", t));
}

export function body(s, set, el) {
  const now = run(s), go = (e) => { set(after(s, e)); el.play(); };
  const input = (label, name) => field(label, s[name], (v) => set({ [name]: plain(v, "") }, true), { maxlength: 12 });
  const offsets = [...new Set([0, now.base, Math.floor(now.end / 2), now.end])];
  return [
    tries(element, el.links, print(s)),
    h("div", { class: "sim-two" }, shown(picture(s, now), said(s)),
      h("div", { class: "sim-ask js" },
        row(input("Key", "key"), input("Value", "value")),
        row(button("Append", () => go(`+${s.key}=${s.value}`), { disabled: !s.key || !s.value, "data-home": true }), button("Append a tombstone", () => go("+" + s.key), { disabled: !s.key })),
        row(button("A day passes", () => go("t1")), button("The cleaner runs", () => go("c"), { disabled: s.policy !== "compact" })),
        h("fieldset", { class: "worker" }, h("legend", null, "A reader starts at offset"), offsets.map((o) => button(String(o), () => go("r" + o), { "aria-label": `Read from offset ${o}` }))),
        undo(s, set))),
    table("Records", ["Offset", "Key", "Value", "Day", "Segment"], now.segments.flatMap((g, i) => g.records.map((r) => [r.offset, h("code", null, r.key), r.value === null ? "tombstone" : h("code", null, r.value), r.day, `from ${g.from}${i === now.segments.length - 1 ? ", written to" : ""}`]))),
    bar("Topic"),
    h("div", { class: "sim-ask flat js" }, pick("cleanup.policy", "l-policy", POLICIES.map((p) => [p, p]), s.policy, (policy) => set({ policy })),
      number("Retention in days, 0 for ever", s.days, 365, (days) => set({ days })),
      pick("auto.offset.reset", "l-reset", RESETS.map((r) => [r, r]), s.reset, (reset) => set({ reset }))),
    h("p", { class: "empty nojs" }, `cleanup.policy=${s.policy}, ${s.policy === "delete" ? (s.days ? `retention ${s.days} days` : "kept for ever") : "segments of one day"}, auto.offset.reset=${s.reset}.`),
  ];
}

define(element, { starts, parse, print, body, said });
