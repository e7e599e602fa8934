// The table of the part, for each of its starts: caption, head, rows.
import { matches } from "../model/filter.js";

export function truth() {
  const values = [["\"rugby\"", { a: "rugby" }], ["\"Rugby\"", { a: "Rugby" }], ["100", { a: 100 }], ["\"100\"", { a: "100" }], ["[\"x\", \"rugby\"]", { a: ["x", "rugby"] }], ["(absent)", {}]];
  const rules = ['"rugby"', '{"equals-ignore-case": "RUGBY"}', '{"anything-but": "rugby"}', '{"prefix": "ru"}', '{"suffix": "by"}', '{"numeric": ["=", 100]}', '{"exists": true}', '{"exists": false}'];
  return ["One rule against one attribute", ["Rule", ...values.map((v) => v[0])], rules.map((r) => [r, ...values.map(([, m]) => (matches({ a: [JSON.parse(r)] }, m).match ? "yes" : "no"))])];
}
