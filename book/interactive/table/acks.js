// The table of the part, for each of its starts: caption, head, rows.
import { start, step } from "../model/acks.js";

export function truth() {
  const ends = (queue, op) => {
    const s = ["s1", "+A", ...Array(3).fill(op + "A1")].reduce(step, start({ prefetch: 1, limit: 2, letters: true, ...queue }));
    return s.dead.length ? `dead letter, ${s.dead[0].reason}` : s.hands.A.length ? "sent to A again" : "gone";
  };
  return ["What becomes of a message after three answers, delivery limit 2, with a dead-letter exchange", ["A answers", "Classic queue", "Quorum queue"],
    [["ack", "a"], ["reject", "j"], ["reject with requeue", "r"], ["nack with requeue", "n"]].map(([label, op]) => [label, ends({ quorum: false }, op), ends({ quorum: true }, op)])];
}
