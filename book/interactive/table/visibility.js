// The table of the part, for each of its starts: caption, head, rows.
import { start, step } from "../model/visibility.js";

export function truth() {
  const cases = [["in time", "s1:g rA t10 dA1"], ["after the timeout, nobody received it since", "s1:g rA t31 dA1"], ["after B received it", "s1:g rA t31 rB dA1"], ["after A crashed", "s1:g rA xA dA1"]];
  const end = (fifo, e) => { const s = e.split(" ").reduce((n, x) => step(n, x), start({ fifo, timeout: 30, max: 0 })); return s.ok ? (s.messages[0].state === "gone" ? "deleted" : "succeeds, message stays") : /no handle/.test(s.said) ? "no handle left" : "refused, message stays"; };
  return ["A deletes a message that it received 30 s timeout ago", ["A deletes", "Standard queue", "FIFO queue"], cases.map(([w, e]) => [w, end(false, e), end(true, e)])].map((x, i) => (i ? x : "What a delete does, visibility timeout 30 s"));
}
