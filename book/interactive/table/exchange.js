// The table of the part, for each of its starts: caption, head, rows.
import { route } from "../model/exchange.js";

const grid = (type, keys, bindings, caption, first) => [caption, [first, ...keys.map((k) => k || "(empty)")], bindings.map((b) => [b || "(empty)", ...keys.map((k) => {
  const x = type === "headers" ? [{ queue: "q", args: b }, { headers: k }] : [{ queue: "q", key: b }, { key: k }];
  return route({ type, bindings: [{ key: "", args: "", ...x[0] }] }, { key: "", headers: "", ...x[1] }).queues.length ? "yes" : "no";
})])];
export const truth = (start) => start === "direct" ? grid("direct", ["error", "Error", "error.db", "*", ""], ["error", "error.*", "*", ""], "Binding keys against routing keys", "Binding key")
  : start === "fanout" ? grid("fanout", ["info", "error", ""], ["", "error"], "Binding keys against routing keys: a fanout exchange reads neither", "Binding key")
  : start === "headers" ? grid("headers", ["format=pdf", "format=PDF", "pages=5", "pages=\"5\"", "(none)"].map((x) => x.replace("(none)", "")), ["x-match=all, format=pdf", "x-match=any, format=pdf, pages=5", "format", "x-match=all", "x-match=any"], "Arguments of a binding against headers of a message", "Arguments")
  : grid("topic", ["logs", "logs.error", "logs.error.db", "eu.logs", ""], ["logs", "logs.*", "logs.#", "*.logs", "#.logs.#", "#"], "Topic patterns against routing keys", "Pattern");
