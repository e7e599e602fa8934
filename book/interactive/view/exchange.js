import { route, refused } from "../model/exchange.js";
import { h, define, tries, bar, pick, button, field, tick, oneOf, shown, text, drawing, mono, print as url } from "../kit.js";

const SYS = "var(--sys)", QUIET = "var(--quiet)", TYPES = ["topic", "direct", "fanout", "headers"];
export const title = "Exchanges", system = "rabbitmq", element = "sim-exchange";
// In the address: t type, b queue~key~arguments for each binding, k key, h headers, m mandatory, a alternate exchange.
const binding = (b) => { const [queue, key = "", args = ""] = b.split("~"); return { queue: queue.slice(0, 40), key: key.slice(0, 255), args: args.slice(0, 255) }; };
export const parse = (q) => ({
  type: oneOf(TYPES, q.get("t")), key: (q.get("k") ?? "").slice(0, 255), headers: (q.get("h") ?? "").slice(0, 200), mandatory: q.has("m"), alternate: q.has("a"),
  bindings: q.getAll("b").slice(0, 6).map(binding),
});
export const print = (s) => url([["t", s.type], ...s.bindings.map((b) => ["b", [b.queue, b.key, b.args].join("~").replace(/~+$/, "")]), ["k", s.key], ...(s.headers ? [["h", s.headers]] : []), ...(s.mandatory ? [["m", 1]] : []), ...(s.alternate ? [["a", 1]] : [])]);
const to = (type, bindings, key, headers = "", mandatory = false, alternate = false) => print({ type, bindings: bindings.map(binding), key, headers, mandatory, alternate });
const office = ["payroll-eu~eu.payroll.*", "audit-eu~eu.#", "hr-us~us.hr.*"], documents = ["both~~x-match=all, format=pdf, type=report", "either~~x-match=any, format=pdf, type=report"];
const hash = ["# takes no word too", to("topic", ["logs~logs.#", "one-word~logs.*", "both-ends~#.error.#"], "logs")], lost = ["Lost, and confirmed", to("direct", ["orders~order.new"], "order.New")];
export const starts = {
  types: { state: to("topic", office, "eu.payroll.run"), links: [hash, lost, ["Nobody wants it, the alternate does", to("direct", ["billing~paid", "support~refund"], "cancelled", "", false, true)]] },
  topic: { state: to("topic", office, "eu.payroll.run"), links: [hash, ["One word more", to("topic", office, "eu.payroll.run.late")], ["No regular expression", to("topic", ["errors~logs.err*", "words~logs.*"], "logs.error")]] },
  direct: { state: to("direct", ["alerting~error", "archive~info", "archive~warning", "archive~error"], "error"), links: [["Two bindings, one copy", to("direct", ["archive~error", "archive~error", "alerting~error"], "error")], lost, ["No pattern: a star is a star", to("direct", ["archive~*", "alerting~error"], "error")]] },
  fanout: { state: to("fanout", ["alerting", "archive", "dashboard"], "info"), links: [["Bound twice, one copy", to("fanout", ["archive", "archive~error", "alerting"], "info")], ["No queue yet: lost", to("fanout", [], "info")], ["Mandatory: it comes back", to("fanout", [], "info", "", true)]] },
  headers: { state: to("headers", documents, "", "format=pdf, type=invoice"), links: [["A binding with no headers", to("headers", ["everything~~x-match=all", "nothing~~x-match=any", "pdf~~x-match=any, format=pdf"], "", "format=zip")], ["5 is not \"5\"", to("headers", ["number~~pages=5", "text~~pages=\"5\"", "present~~pages"], "", "pages=5")], ["x- is not looked at", to("headers", ["tenant~~x-match=all, x-tenant=acme", "with-x~~x-match=all-with-x, x-tenant=acme"], "", "x-tenant=other")]] },
};

const run = (s) => route({ type: s.type, bindings: s.bindings, alternate: s.alternate ? { type: "fanout", bindings: [{ queue: "unrouted", key: "", args: "" }] } : undefined }, s);
export function said(s) {
  const r = run(s), n = new Set(s.bindings.map((b) => b.queue)).size, list = r.queues.join(", ");
  if (r.outcome === "alternate") return "No binding matches. The alternate exchange takes the message to the queue unrouted, and the broker confirms it.";
  if (r.outcome === "returned") return "No binding matches. The message is mandatory: the broker returns it, and then confirms it.";
  if (r.outcome === "dropped") return "No binding matches. The message is dropped, and the broker confirms it all the same.";
  return `${r.queues.length} of ${n} queue${n === 1 ? "" : "s"} get${r.queues.length === 1 ? "s" : ""} a copy: ${list}.`;
}

const rule = { direct: "M-7 0H7m-4-4l4 4-4 4", fanout: "M-7 0H7M-6-2L5-8M-6 2L5 8" };
function picture(s, r) {
  const rows = Math.max(s.bindings.length, 1), lost = r.outcome !== "routed", height = 30 + rows * 54 + (lost ? 54 : 0), y0 = 20 + (rows * 54) / 2;
  const line = (y, hit, x = 176) => h("path", { d: Math.abs(y - y0) < 9 ? `M160 ${y0}H262` : `M152 ${y0 + (y < y0 ? -8 : 8)}L${x} ${y}H262`, stroke: hit ? SYS : QUIET, "stroke-dasharray": hit ? false : "3 3", "marker-end": `url(#x-${hit ? "sys" : "quiet"})` });
  const queue = (y, name, hit) => [h("path", { d: `M266 ${y - 13}h70M266 ${y + 13}h70` }), h("path", { d: `M336 ${y - 14}v28`, "stroke-width": 4 }),
    text(266, y - 18, name.length > 11 ? name.slice(0, 10) + "…" : name, { fill: "currentColor", stroke: "none" }),
    hit && h("rect", { x: 308, y: y - 10, width: 20, height: 20, fill: SYS, stroke: SYS, "data-from": `${-224} ${y0 - y}` })];
  const label = (y, k, hit) => text(180, y - 6, k.length > 12 ? k.slice(0, 11) + "…" : k, { ...mono, fill: hit ? "currentColor" : QUIET, stroke: "none" });
  const end = height - 30;
  return drawing(340, height, 1.3, "Where the message goes", said(s), "x",
    h("path", { d: `M0 ${y0 - 13}h53l9 13-9 13h-53z`, fill: "var(--paper)" }), text(27, y0 + 4, "producer", { "font-size": 11, "text-anchor": "middle", fill: "currentColor", stroke: "none" }),
    h("path", { d: `M62 ${y0}H122`, "marker-end": "url(#x-ink)" }), h("rect", { x: 76, y: y0 - 10, width: 20, height: 20, fill: SYS, stroke: SYS }),
    text(0, y0 - 24, s.type === "headers" ? s.headers.slice(0, 20) || "no headers" : s.key.slice(0, 20) || "(empty key)", { ...mono, fill: "currentColor", stroke: "none" }),
    s.bindings.map((b, i) => { const y = 47 + i * 54, w = r.why[i]; return [line(y, w.match), label(y, s.type === "fanout" ? "" : s.type === "headers" ? b.args.replace(/x-match=/, "") || "(none)" : b.key || "(empty)", w.match), queue(y, b.queue, w.match)]; }),
    lost && [line(end, r.outcome === "alternate"),
      r.outcome === "alternate" ? [label(end, "alternate", true), queue(end, "unrouted", true)]
      : r.outcome === "returned" ? text(266, end + 4, "returned", { fill: "currentColor", stroke: "none" })
      : [h("rect", { x: 268, y: end - 10, width: 20, height: 20, "stroke-dasharray": "1.5 3" }), text(294, end + 4, "dropped", { fill: "currentColor", stroke: "none" })]],
    lost && r.outcome === "returned" && h("path", { d: `M262 ${end}H30V${y0 + 17}`, stroke: SYS, "marker-end": "url(#x-sys)" }),
    h("path", { d: `M122 ${y0}l19-19 19 19-19 19z`, fill: "var(--paper)", stroke: SYS }),
    rule[s.type] ? h("path", { d: rule[s.type], transform: `translate(141 ${y0})`, "stroke-width": 1.2 })
      : text(141, y0 + 4, s.type === "topic" ? "*.#" : "k:v", { ...mono, "text-anchor": "middle", fill: "currentColor", stroke: "none" }));
}

const aligned = (w) => h("span", { class: "words", "aria-hidden": "true" }, w.steps.map(([p, k]) => h("span", null, h("b", null, p || "·"), h("i", null, k.length ? k.map((x) => x || "·").join(".") : "–"))),
  w.stop && h("span", { class: "no" }, h("b", null, w.stop[0] ?? "end"), h("i", null, w.stop[1] ?? "end")));

export function body(s, set, el) {
  const r = run(s), edit = (i, c) => set({ bindings: s.bindings.map((b, j) => (i === j ? { ...b, ...c } : b)) }), free = (t) => t.replace(/~/g, "");
  const what = s.type === "headers" ? "args" : "key";
  return [
    tries(element, el.links, print(s)),
    h("div", { class: "sim-two" },
      shown(picture(s, r), said(s)),
      h("div", { class: "sim-ask js" },
        pick("Exchange", "x-type", TYPES.map((t) => [t, t]), s.type, (type) => set({ type })),
        s.type === "headers" ? field("Headers of the message", s.headers, (headers) => set({ headers }), { maxlength: 200 }) : field("Routing key", s.key, (key) => set({ key }), { maxlength: 255 }),
        tick("mandatory: return what no queue gets", s.mandatory, (mandatory) => set({ mandatory })),
        tick("alternate exchange with a queue, unrouted", s.alternate, (alternate) => set({ alternate })),
        h("p", { class: "does" }, button("Publish", () => { el.play(); el.say(); })))),
    bar("Bindings", h("span", { class: "of" }, { topic: "* one word, # any number", headers: "name=value; x-match=all, any, all-with-x, any-with-x", direct: "the whole key", fanout: "the key is ignored" }[s.type])),
    h("ol", { class: "binds" }, s.bindings.map((b, i) => h("li", { class: r.why[i].match ? "hit" : "miss" },
      h("div", { class: "js" }, field("Queue", b.queue, (queue) => edit(i, { queue: free(queue) }), { maxlength: 40 }),
        s.type === "fanout" ? null : field(what === "args" ? "Arguments" : "Binding key", b[what], (v) => edit(i, { [what]: free(v) }), { maxlength: 255, "aria-invalid": refused(s.type, b) ? "true" : false }),
        button("Remove", () => set({ bindings: s.bindings.filter((_, j) => j !== i) }), { "aria-label": `Remove binding ${i + 1}, ${b.queue}` })),
      h("p", null, h("b", null, r.why[i].match ? "gets it" : r.why[i].refused ? "refused" : "no"), " ", s.type === "topic" && r.why[i].steps && aligned(r.why[i]), h("span", { class: s.type === "topic" && r.why[i].match && "vh" }, h("span", { class: "nojs" }, `${b.queue}, ${b[what] || "(empty)"}: `), r.why[i].why.replace(/^refused: /, "")))))),
    h("p", { class: "does js" }, button("Add a binding", () => set({ bindings: [...s.bindings, { queue: "queue-" + (s.bindings.length + 1), key: s.key, args: s.headers }] }), { disabled: s.bindings.length > 5, "data-home": true })),
  ];
}

define(element, { starts, parse, print, body, said });
