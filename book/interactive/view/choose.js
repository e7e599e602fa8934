import { questions, rank, sentence, signed } from "../model/choose.js";
import { h, define, tries, bar, pick, button, mark, print as url } from "../kit.js";

export const title = "Which system?", system = "", element = "sim-choose";
// In the address: one parameter for each answered question.
export const parse = (q) => Object.fromEntries(questions.flatMap((x) => (Object.hasOwn(x.answers, q.get(x.id)) ? [[x.id, q.get(x.id)]] : [])));
export const print = (s) => url(questions.flatMap((q) => (s[q.id] ? [[q.id, s[q.id]]] : [])));
export const starts = { pool: { state: "readers=one&host=aws&fail=yes", links: [
  ["A work queue with priorities", "readers=one&priority=yes&fail=yes"],
  ["Read it all again, in order", "readers=many&replay=yes&order=yes"],
  ["Too much for one system", "readers=one&replay=yes&host=aws&route=yes&size=large"],
] } };
export const said = (s) => sentence(s);

export function body(s, set, el) {
  const order = rank(s), answered = Object.values(s).filter(Boolean).length;
  return [
    tries(element, el.links, print(s)),
    h("div", { class: "choose js" }, questions.map((q) => pick(q.ask, "c-" + q.id, [["", "open"], ...Object.entries(q.answers).map(([v, a]) => [v, a[0]])], s[q.id] ?? "", (v) => set({ [q.id]: v || undefined }))),
      h("p", { class: "totals" }, order.map((x) => h("span", { class: "sq " + x.name.toLowerCase() }, x.name + " " + (x.cannot.length ? "out" : signed(x.total)))))),
    h("p", { class: "empty nojs" }, "Answered here: " + questions.filter((q) => s[q.id]).map((q) => `${q.ask} ${q.answers[s[q.id]][0]}`).join("; ") + "."),
    bar("To say in the meeting", h("span", { class: "of" }, `${answered} of ${questions.length} questions answered; the address of this page holds them`)),
    h("p", { class: "verdict" }, sentence(s)),
    bar("Every point", h("span", { class: "of" }, "+2 made for it, +1 does it, \u22121 only with help, \u22124 cannot")),
    h("ol", { class: "ranks" }, order.map((x) => h("li", { class: x.name.toLowerCase() }, h("p", { class: "name" }, x.name, h("span", null, signed(x.total) + (x.cannot.length ? ", ruled out" : x.decided ? `, first by question ${x.decided}` : ""))),
      x.points.length ? h("ul", null, x.points.map((p) => h("li", null, h("b", null, signed(p.weight) + (p.weight === -4 ? " cannot" : p.weight < 0 ? " with help" : p.weight > 1 ? " made for it" : " does it")), h("span", null, mark(p.says + ".", p.claim))))) : h("p", { class: "none" }, "No answer speaks for or against it.")))),
    h("p", { class: "does js" }, button("Open all questions", () => set(Object.fromEntries(questions.map((q) => [q.id, undefined]))), { disabled: !answered, "data-home": true })),
  ];
}

define(element, { starts, parse, print, body, said });
