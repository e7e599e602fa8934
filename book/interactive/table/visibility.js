// The table of the part, for each of its starts: caption, head, rows.
import { start, step } from "../model/visibility.js";

const play = (queue, events) => events.split(" ").reduce((s, e) => step(s, e), start({ fifo: false, timeout: 30, max: 0, ...queue }));
const nth = ["First", "Second", "Third", "Fourth"];

// What each receive does to a message that is never deleted.
const redrive = () => ["Receives of a message that nobody deletes", ["maxReceiveCount", ...nth.map((n) => n + " receive")], [1, 2, 3].map((max) => [String(max), ...nth.map((_, i) => {
  const s = play({ max }, "s1 " + Array(i + 1).fill("rA").join(" t30 "));
  return s.messages[0].state === "queue" ? "A has it" : s.messages[0].count === i + 1 ? "nothing: to the dead-letter queue" : "nothing";
})])];

const group = () => ["What B receives after A received message 1 of group g", ["In the queue", "At once", "After A deletes 1", "After 30 s"], [["1 and 2, both of group g", "s1:g s2:g rA"], ["1 of group g, 2 of group h", "s1:g s2:h rA"], ["1 alone", "s1:g rA"]].map(([what, e]) => [what, ...["rB", "dA1 rB", "t30 rB"].map((then) => { const got = play({ fifo: true }, e + " " + then).got; return got ? "message " + got : "nothing"; })])];

export const truth = (name) => name === "redrive" ? redrive() : name === "fifo" ? group() : late();

function late() {
  const cases = [["in time", "s1:g rA t10 dA1"], ["after the timeout, nobody received it since", "s1:g rA t31 dA1"], ["after B received it", "s1:g rA t31 rB dA1"], ["after A crashed", "s1:g rA xA dA1"]];
  const end = (fifo, e) => { const s = e.split(" ").reduce((n, x) => step(n, x), start({ fifo, timeout: 30, max: 0 })); return s.ok ? (s.messages[0].state === "gone" ? "deleted" : "succeeds, message stays") : /no handle/.test(s.said) ? "no handle left" : "refused, message stays"; };
  return ["A deletes a message that it received 30 s timeout ago", ["A deletes", "Standard queue", "FIFO queue"], cases.map(([w, e]) => [w, end(false, e), end(true, e)])].map((x, i) => (i ? x : "What a delete does, visibility timeout 30 s"));
}
