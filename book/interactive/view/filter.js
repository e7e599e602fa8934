import { matches, problem } from "../model/filter.js";
import { h, define, tries, bar, pick, text, drawing, mono, print as url } from "../kit.js";

export const title = "Filter policies", system = "sns", element = "sim-filter";
// In the address: p policy, m message (both JSON), b the message is a body.
const MOST = 1500, cut = (text) => (text ?? "{}").slice(0, MOST);
export const parse = (q) => ({ policy: cut(q.get("p")), message: cut(q.get("m")), body: q.has("b") });
export const print = (s) => url([["p", s.policy], ["m", s.message], ...(s.body ? [["b", 1]] : [])]);
const to = (policy, message, body) => print({ policy, message, body });
export const starts = { policy: {
  state: to('{\n  "event": [{"prefix": "order_"}],\n  "price": [{"numeric": [">", 0, "<=", 150]}],\n  "store": [{"anything-but": "test"}]\n}', '{"event": "order_placed", "price": 150}'),
  links: [
    ["anything-but wants the key", to('{"store": [{"anything-but": "test"}]}', '{"event": "order_placed"}')],
    ["One element is enough", to('{"interests": [{"anything-but": ["rugby", "tennis"]}]}', '{"interests": ["rugby", "baseball"]}')],
    ["Two items make one match", to('{"items": {"sku": ["a1"], "qty": [{"numeric": [">", 5]}]}}', '{"items": [\n  {"sku": "a1", "qty": 1},\n  {"sku": "b2", "qty": 9}\n]}', true)],
  ],
} };

const json = (s) => { try { return [JSON.parse(s)]; } catch (e) { return [undefined, e.message.replace(/^.*?: |, ".*$| in JSON.*$|\n[^]*/g, "")]; } };
function run(s) {
  const [policy, bad] = json(s.policy), [message, worse] = json(s.message), object = (x) => x && typeof x === "object" && !Array.isArray(x);
  const odd = !worse && !s.body && object(message) && Object.entries(message).find(([, v]) => typeof v === "boolean" || v === null || object(v));
  const stop = bad ? "The policy is not JSON." : problem(policy, s.body) ? "SNS refuses the policy. " + problem(policy, s.body)
    : worse ? "The message is not JSON." + (s.body ? " SNS would not deliver it." : "") : !object(message) ? "The message is not a JSON object: it does not match."
    : odd ? `An attribute is a string, a number or a list: ${odd[0]} is none. Take the body.` : "";
  return stop ? { stop, match: false, keys: [] } : matches(policy, message);
}
const misses = (r) => r.keys.filter((k) => !k.match);
export function said(s) {
  const r = run(s);
  if (r.stop) return r.stop;
  if (!r.keys.length) return "An empty policy lets every message through.";
  const no = misses(r).map((k) => k.key + (k.found?.length === 0 ? " is absent" : " is not met"));
  return r.match ? "Delivered: every key of the policy is met." : `Not delivered: ${no.join(", ")}.`;
}

function picture(s, r) {
  const c = r.match ? "var(--sys)" : "var(--quiet)", t = { fill: "currentColor", stroke: "none", "text-anchor": "middle" };
  return drawing(340, 92, 1.3, "From the topic to the queue", said(s), "f",
    h("circle", { cx: 34, cy: 48, r: 22, fill: "var(--paper)", stroke: "var(--sys)" }), text(34, 52, "topic", t),
    h("rect", { x: 66, y: 38, width: 20, height: 20, fill: "var(--sys)", stroke: "var(--sys)" }),
    h("path", { d: "M90 48H136", "marker-end": "url(#f-ink)" }), h("path", { d: "M140 34h32l-11 14v14h-10v-14z", fill: "var(--paper)" }), text(156, 24, "policy", { ...t, ...mono }),
    h("path", { d: "M176 48H254", stroke: c, "stroke-dasharray": r.match ? false : "3 3", "marker-end": `url(#f-${r.match ? "sys" : "quiet"})` }),
    text(215, 40, r.match ? "delivered" : "filtered out", { ...t, "font-size": 11, fill: r.match ? "currentColor" : "var(--quiet)" }),
    h("path", { d: "M262 35h70M262 61h70" }), h("path", { d: "M332 34v28", "stroke-width": 4 }), text(297, 24, "queue", t),
    r.match && h("rect", { x: 304, y: 38, width: 20, height: 20, fill: "var(--sys)", stroke: "var(--sys)", "data-from": "-160 0" }));
}

const list = (r) => h("ul", { class: "rules" }, r.keys.map((k) => h("li", { class: k.match ? "hit" : "miss" },
  h("p", null, h("b", null, k.match ? "yes" : "no"), " ", h("code", null, k.key), " ", k.any ? h("span", null, k.match ? "one branch is enough" : "no branch is met")
    : h("span", null, k.found.length ? "is " + k.found.map((v) => JSON.stringify(v)).join(", ") : "is absent")),
  k.any ? h("ol", null, k.any.map((b) => h("li", null, list(b))))
    : h("ul", null, k.rules.map((x) => h("li", { class: x.match ? "hit" : "miss" }, h("b", null, x.match ? "yes" : "no"), " ", h("span", null, x.words)))))));

export function body(s, set, el) {
  const r = run(s), area = (label, name, rows) => h("label", null, h("span", null, label), h("textarea", { rows, spellcheck: "false", autocapitalize: "off", value: s[name], oninput: (e) => { const was = run(s).match; set({ [name]: cut(e.target.value) }); if (run(el.state).match && !was) el.play(); } }));
  return [
    tries(element, el.links, print(s)),
    h("div", { class: "sim-two even" }, h("div", { class: "sim-ask" },
      area("Filter policy", "policy", 7)),
      h("div", { class: "sim-ask" }, h("div", { class: "js" }, pick("Read", "f-scope", [["", "attributes"], ["1", "body"]], s.body ? "1" : "", (v) => set({ body: !!v }))), area(s.body ? "Message body" : "Message attributes, as JSON", "message", 4))),
    h("div", { class: "sim-draw mid" }, picture(s, r), h("p", { class: "said" }, said(s))),
    bar("Key by key", h("span", { class: "of" }, "every key must be met; of its rules, one")),
    r.keys.length ? list(r) : h("p", { class: "empty" }, r.stop || "No key, no condition."),
  ];
}

define(element, { starts, parse, print, body, said });
