// The table of the part, for each of its starts: caption, head, rows.
import { start, step, all } from "../model/log.js";

const RESETS = ["earliest", "latest"];

export function truth(name) {
  const cases = name === "replay"
    ? [["Offset 0, still there", "+a=1 +b=1 r0"], ["Offset 0, deleted by retention", "+a=1 t1 +b=1 t1 r0"], ["The end", "+a=1 +b=1 r2"], ["Beyond the end", "+a=1 r9"]]
    : [];
  if (name === "replay") return ["What a reader gets first, retention one day", ["It asks for", ...RESETS], cases.map(([what, e]) => [what, ...RESETS.map((reset) => { const s = e.split(" ").reduce(step, start({ policy: "delete", days: 1, reset })); return s.got === s.end ? "waits at the end" : `offset ${s.got}`; })])];
  const left = (policy, e) => all(e.split(" ").reduce(step, start({ policy, days: 3, reset: "earliest" }))).map((r) => `${r.offset}: ${r.key}${r.value === null ? ", tombstone" : " = " + r.value}`).join("; ") || "nothing";
  return ["What is left after four days, retention three days or compaction", ["Appended", "delete", "compact"],
    [["a=1, a day later a=2, three days later b=1", "+a=1 t1 +a=2 t3 +b=1 c"], ["a=1, a=2 on one day, then b=1", "+a=1 +a=2 t1 +b=1 t3 c"], ["a=1, its tombstone, then b=1", "+a=1 +a t4 +b=1 c"], ["a=1, a day later a=2, and nothing since", "+a=1 t1 +a=2 t3 c"]].map(([what, e]) => [what, left("delete", e), left("compact", e)])];
}
