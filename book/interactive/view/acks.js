import { start, step, most } from "../model/acks.js";
import { h, define, tries, bar, pick, button, number, tick, row, undo, table, shown, whole, events, after, text, drawing, mono, print as url } from "../kit.js";

const SYS = "var(--sys)", QUIET = "var(--quiet)", NAMES = [..."ABC"];
export const title = "Acknowledgements", system = "rabbitmq", element = "sim-acks";
// In the address: q quorum queue, p prefetch, l delivery limit, d dead-letter exchange, e events (see the model), in order.
const EVENT = /^(s\w{1,8}|[+-][ABC]|[ajrn][ABC]\w{0,8})$/;
export const parse = (q) => ({ quorum: q.has("q"), prefetch: whole(q.get("p"), 1, 99), limit: whole(q.get("l"), 0, 99), letters: q.has("d"), events: events(q, EVENT) });
export const print = (s) => url([...(s.quorum ? [["q", 1]] : []), ["p", s.prefetch], ["l", s.limit], ...(s.letters ? [["d", 1]] : []), ["e", s.events.join(" ")]]);
const to = (quorum, prefetch, limit, letters, e) => print({ quorum, prefetch, limit, letters, events: e.split(" ") });
export const starts = {
  work: { state: to(true, 1, 0, false, "s1 s2 s3 s4 s5 s6 +A +B aB2 aB3"), links: [["No prefetch: one takes all", to(true, 0, 0, false, "s1 s2 s3 s4 +A +B")], ["Gone without an ack", to(true, 2, 0, false, "s1 s2 s3 +A aA1 -A +B")], ["Given back, and sent at once again", to(true, 1, 0, false, "s1 s2 +A rA1 rA1")]] },
  letters: { state: to(true, 1, 2, true, "s1 s2 +A rA1 rA1 rA1"), links: [["nack does not count", to(true, 1, 2, true, "s1 +A nA1 nA1 nA1 nA1")], ["A crash does", to(true, 1, 2, true, "s1 +A -A +A -A +A -A")], ["No exchange: dropped", to(true, 1, 2, false, "s1 +A rA1 rA1 rA1")]] },
};
const run = (s) => s.events.reduce(step, start(s));
export const said = (s) => run(s).said || "An empty queue.";

const square = (x, y, m, from) => [h("rect", { x, y, width: 20, height: 20, fill: m.again ? "var(--paper)" : SYS, stroke: SYS, ...(from ? { "data-from": from } : {}) }),
  text(x + 10, y + 14, String(m.id).slice(0, 2), { ...mono, "text-anchor": "middle", stroke: "none", fill: m.again ? "currentColor" : "var(--paper)", ...(from ? { "data-from": from } : {}) })];
const squares = (x, y, list, room) => list.slice(0, room).map((m, i) => square(x + i * 24, y, m)).concat(list.length > room ? text(x + room * 24, y + 14, "+" + (list.length - room), { fill: "currentColor", stroke: "none" }) : []);

function picture(s, now) {
  const names = Object.keys(now.hands).sort(), rows = Math.max(names.length, 1), t = { fill: "currentColor", stroke: "none" };
  const gone = s.letters ? now.dead : now.dropped, height = 46 + Math.max(rows * 44, 60) + (gone.length ? 46 : 0), y0 = 30 + Math.max(rows * 44, 60) / 2, y = (i) => 30 + (Math.max(rows * 44, 60) / rows) * (i + 0.5);
  return drawing(340, height, 1.3, "The queue and its consumers", said(s), "a",
    text(0, y0 - 22, s.quorum ? "quorum queue" : "classic queue", t), h("path", { d: `M0 ${y0 - 14}h130M0 ${y0 + 14}h130` }), h("path", { d: `M130 ${y0 - 15}v30`, "stroke-width": 4 }), squares(6, y0 - 10, now.ready.slice(0, 5), 4).reverse(),
    names.map((w, i) => [h("path", { d: `M134 ${y0}L176 ${y(i)}H206`, stroke: now.news.some((x) => x.who === w) ? SYS : QUIET, "stroke-dasharray": now.news.some((x) => x.who === w) ? false : "3 3", "marker-end": `url(#a-${now.news.some((x) => x.who === w) ? "sys" : "quiet"})` }),
      h("path", { d: `M208 ${y(i) - 14}h128v28h-128l9-14z`, fill: "var(--paper)" }), text(222, y(i) + 4, w, { ...t, "font-weight": 600 }), squares(238, y(i) - 10, now.hands[w], 3)]),
    gone.length > 0 && [text(0, height - 12, s.letters ? "dead letters" : "dropped", t), gone.slice(-4).map((m, i) => [h("rect", { x: 84 + i * 24, y: height - 26, width: 20, height: 20, "stroke-dasharray": "1.5 3" }), text(94 + i * 24, height - 12, String(m.id).slice(0, 2), { ...mono, ...t, "text-anchor": "middle" })])]);
}

export function body(s, set, el) {
  const now = run(s), names = Object.keys(now.hands).sort(), free = NAMES.find((w) => !names.includes(w)), next = String(now.sent + 1);
  const go = (e) => { set(after(s, e)); el.play(); };
  const consumer = (w) => h("fieldset", { class: "worker" }, h("legend", null, "Consumer " + w), button("Close its channel", () => go("-" + w), { "aria-label": `Close the channel of ${w}` }),
    now.hands[w].slice(0, 4).map(({ id }) => h("p", null, h("b", null, id), [["ack", "a"], ["reject", "j"], ["reject, requeue", "r"], ["nack, requeue", "n"]].map(([label, op]) => button(label, () => go(op + w + id), { "aria-label": `${w}: ${label} ${id}` })))));
  const all = [...now.ready.map((m) => [m, "waits"]), ...names.flatMap((w) => now.hands[w].map((m) => [m, w + " has it, unacknowledged"]))].sort((a, b) => a[0].place - b[0].place);
  return [
    tries(element, el.links, print(s)),
    h("div", { class: "sim-two" }, shown(picture(s, now), said(s)),
      h("div", { class: "sim-ask js" },
        row(button(`Publish ${next}`, () => go("s" + next), { disabled: now.sent > 11, "data-home": true }), button(free ? `Add consumer ${free}` : "Three consume", () => go("+" + free), { disabled: !free })),
        names.map(consumer),
        undo(s, set))),
    table("Messages", ["Message", "Delivered before", s.quorum && "Counted", "Now"].filter(Boolean), [...all.map(([m, where]) => [m.id, m.again ? "yes" : "no", `${m.count} of ${most(now)}`, where]),
      ...(s.letters ? now.dead : now.dropped).map((m) => [m.id, "\u2013", "\u2013", `${s.letters ? "dead letter" : "dropped"}: ${m.reason}`])].map((r) => (s.quorum ? r : r.toSpliced(2, 1)))),
    bar("Queue"),
    h("div", { class: "sim-ask flat js" }, pick("Type", "a-type", [["", "classic"], ["1", "quorum"]], s.quorum ? "1" : "", (v) => set({ quorum: !!v })), number("Prefetch, 0 for none", s.prefetch, 99, (prefetch) => set({ prefetch })), s.quorum && number("Delivery limit, 0 for 20", s.limit, 99, (limit) => set({ limit })),
      tick("dead-letter exchange", s.letters, (letters) => set({ letters }))),
    h("p", { class: "empty nojs" }, `${s.quorum ? "Quorum" : "Classic"} queue, prefetch ${s.prefetch || "none"}${s.quorum ? `, delivery limit ${s.limit || 20}` : ""}, ${s.letters ? "with" : "no"} dead-letter exchange.`),
  ];
}

define(element, { starts, parse, print, body, said });
