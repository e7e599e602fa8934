import { start, step, blocked, hidden } from "../model/visibility.js";
import { h, define, tries, bar, pick, button, number, row, undo, table, shown, whole, events, after, text, drawing, print as url } from "../kit.js";

const SYS = "var(--sys)", QUIET = "var(--quiet)";
export const title = "Visibility", system = "sqs", element = "sim-visibility";
// In the address: f FIFO, v visibility timeout, r maxReceiveCount (0 none), e events (see the model), in order.
const EVENT = /^(s\w{1,8}(:\w{1,8})?|[rx][AB]|d[AB]\w{1,8}|v[AB]\w{1,8}:\d{1,5}|t\d{1,5})$/;
export const parse = (q) => ({ fifo: q.has("f"), timeout: whole(q.get("v"), 30, 43200), max: whole(q.get("r"), 0, 1000), events: events(q, EVENT) });
export const print = (s) => url([...(s.fifo ? [["f", 1]] : []), ["v", s.timeout], ["r", s.max], ["e", s.events.join(" ")]]);
const to = (fifo, timeout, max, e) => print({ fifo, timeout, max, events: e.split(" ") });
const late = to(false, 30, 0, "s1 rA t20 t13 rB t9 dA1"), crashed = to(false, 30, 2, "s1 s2 rA xA t30 rA xA t30 rA");
export const starts = {
  standard: { state: late, links: [["Keep it longer: the heartbeat", to(false, 30, 0, "s1 rA t20 vA1:30 t20 rB dA1")], ["Given back at once", to(false, 30, 0, "s1 rA t5 vA1:0 rB dA1")], ["FIFO refuses a late delete", to(true, 30, 0, "s1:g rA t31 dA1 rB")]] },
  fifo: { state: to(true, 30, 0, "s1:g s2:g s3:h rA t10 rB rB"), links: [["A crash holds the group", to(true, 30, 0, "s1:g s2:g s3:h rA xA t10 rB rB t20 rB")], ["A late delete is refused", to(true, 30, 0, "s1:g rA t31 dA1 rB")], ["Dead, and the group goes on", to(true, 30, 1, "s1:g s2:g rA t30 rB")]] },
  redrive: { state: crashed, links: [["Two at a time", to(false, 30, 1, "s1 s2 rA rB t30 rA")], ["Given back counts too", to(false, 30, 2, "s1 rA vA1:0 rA vA1:0 rA")], ["A FIFO queue loses the order", to(true, 30, 1, "s1:g s2:g rA t30 rB dB2")]] },
};
const run = (s) => { const all = [start({ fifo: s.fifo, timeout: s.timeout, max: s.max })]; for (const e of s.events) all.push(step(all.at(-1), e)); return all; };
export const said = (s) => (s.events.length ? `At ${run(s).at(-1).t} s: ` + run(s).at(-1).said : "An empty queue.");

// The story from top to bottom: a bar for each message, filled while it can be received, open while its group waits, dashed while it is hidden; the workers on the right.
const kind = (s, m) => (hidden(s, m) ? 2 : blocked(s, m) ? 1 : 0);
function picture(s, all) {
  const from = Math.max(0, all.length - 14), shown = all.slice(from), last = all.at(-1), list = last.messages.slice(-4), row = 24, height = 40 + shown.length * row;
  const mx = (i) => 56 + i * 26, wx = { A: 226, B: 306 }, y = (i) => 28 + i * row, t = { fill: "currentColor", stroke: "none" };
  return drawing(340, height, 1.3, "The queue and its workers, time downwards", said(s), "v",
    list.map((m, i) => text(mx(i), 14, m.id, { ...t, "text-anchor": "middle", "font-weight": 600 })), ["A", "B"].map((w) => [text(wx[w], 14, "worker " + w, { ...t, "text-anchor": "middle", "font-weight": 600 }), h("path", { d: `M${wx[w]} 22V${height}`, stroke: QUIET, "stroke-dasharray": "1 4", "stroke-width": 1 })]),
    shown.map((now, i) => {
      const e = s.events[from + i - 1] ?? "", w = e[1], id = e[0] === "r" ? now.got : e.slice(2).split(":")[0], at = list.findIndex((m) => m.id === id);
      const before = all[from + i - 1];
      return [e[0] === "t" && [text(40, y(i) + 4, now.t + " s", { ...t, "text-anchor": "end", "font-size": 11 }), h("path", { d: `M44 ${y(i)}h4`, "stroke-width": 1 })],
        list.map((m, j) => { const me = now.messages.find((x) => x.id === m.id), old = before?.messages.find((x) => x.id === m.id);
          if (!me || me.state !== "queue") return me && old?.state === "queue" && (me.state === "gone" ? h("path", { d: `M${mx(j) - 7} ${y(i) - 3}l14 14m0-14l-14 14` }) : [h("rect", { x: mx(j) - 13, y: y(i) + 3, width: 26, height: 16, fill: "var(--paper)", "stroke-dasharray": "3 3" }), text(mx(j), y(i) + 15, "DLQ", { ...t, "font-size": 10, "text-anchor": "middle" })]);
          const off = kind(now, me), was = shown[i - 1]?.messages.find((x) => x.id === m.id);
          if (was?.state === "queue" && kind(shown[i - 1], was) === off && i) return e[0] === "r" && me.count > was.count && h("path", { d: `M${mx(j) - 9} ${y(i)}h18`, stroke: SYS });
          let to = i + 1;
          for (; to < shown.length; to++) { const f = shown[to].messages.find((x) => x.id === m.id); if (f.state !== "queue" || kind(shown[to], f) !== off) break; }
          return [h("rect", { x: mx(j) - 9, y: y(i), width: 18, height: (to < shown.length ? y(to) : height - 4) - y(i), fill: off ? "var(--wash)" : SYS, stroke: SYS, "stroke-dasharray": off > 1 ? "3 3" : false }), !old && text(mx(j) + 13, y(i) + 9, "sent", { ...t, "font-size": 11 })]; }),
        (w === "A" || w === "B") && "rdvx".includes(e[0]) && [h("rect", { x: wx[w] - 6, y: y(i) - 5, width: 12, height: 10, fill: e[0] === "x" || !now.ok ? "var(--paper)" : "currentColor", "stroke-dasharray": now.ok ? false : "3 3" }),
          at >= 0 && h("path", { d: e[0] === "r" ? `M${mx(at) + 9} ${y(i)}H${wx[w] - 8}` : `M${wx[w] - 8} ${y(i)}H${mx(at) + 11}`, ...(now.ok && !/stays/.test(now.said) ? { "marker-end": "url(#v-ink)" } : { stroke: QUIET, "stroke-dasharray": "3 3", "marker-end": "url(#v-quiet)" }) }),
          text(wx[w] - 12, y(i) - 4, { r: at < 0 ? "gets none" : "receives", d: now.ok && !/stays/.test(now.said) ? "deletes" : "no effect", v: now.ok ? e.split(":")[1] + " s from now" : "refused", x: "crashes" }[e[0]], { ...t, "text-anchor": "end", "font-size": 11, fill: now.ok ? "currentColor" : QUIET })]];
    }));
}

export function body(s, set, el) {
  const all = run(s), now = all.at(-1), go = (e) => set(after(s, e)), next = String(now.messages.length + 1);
  const ends = now.messages.filter((m) => hidden(now, m)).map((m) => m.until - now.t), until = ends.length ? Math.min(...ends) : 0;
  const worker = (w) => h("fieldset", { class: "worker" }, h("legend", null, "Worker " + w), button("Receive", () => go("r" + w)), button("Crash", () => go("x" + w), { disabled: !now.hands[w].length }),
    now.hands[w].map(({ id }) => h("p", null, h("b", null, id), [["Delete", `d${w}${id}`], [`Keep ${s.timeout} s`, `v${w}${id}:${s.timeout}`], ["Give back", `v${w}${id}:0`]].map(([l, e]) => button(l, () => go(e), { "aria-label": `${w}: ${l.toLowerCase()} ${id}` })))));
  return [
    tries(element, el.links, print(s)),
    h("div", { class: "sim-two" }, shown(picture(s, all), said(s)),
      h("div", { class: "sim-ask js" },
        row(button(s.fifo ? `Send ${next} to group g` : `Send ${next}`, () => go("s" + next + (s.fifo ? ":g" : "")), { disabled: now.messages.length > 8, "data-home": true }), s.fifo && button(`Send ${next} to group h`, () => go(`s${next}:h`), { disabled: now.messages.length > 8 })),
        worker("A"), worker("B"),
        h("fieldset", { class: "worker" }, h("legend", null, `Clock: ${now.t} s`), button("10 s pass", () => go("t10")), button(until ? `${until} s, to the next timeout` : "No timeout runs", () => go("t" + until), { disabled: !until })),
        undo(s, set))),
    table("Messages", ["Message", s.fifo && "Group", "Received", "Now"].filter(Boolean), now.messages.map((m) => [m.id, s.fifo && (m.group || "\u2013"), m.count + (m.count === 1 ? " time" : " times"), blocked(now, m) || "visible"].filter((c) => c !== false))),
    bar("Queue"),
    h("div", { class: "sim-ask flat js" }, pick("Type", "v-type", [["", "standard"], ["1", "FIFO"]], s.fifo ? "1" : "", (v) => set({ fifo: !!v, events: v ? s.events.map((e) => (/^s\w+$/.test(e) ? e + ":g" : e)) : s.events.map((e) => (e[0] === "s" ? e.split(":")[0] : e)) })), number("Visibility timeout, s", s.timeout, 43200, (timeout) => set({ timeout })), number("maxReceiveCount, 0 for none", s.max, 1000, (max) => set({ max }))),
    h("p", { class: "empty nojs" }, `${s.fifo ? "FIFO" : "Standard"} queue, visibility timeout ${s.timeout} s, ${s.max ? "maxReceiveCount " + s.max : "no dead-letter queue"}.`),
  ];
}

define(element, { starts, parse, print, body, said });
