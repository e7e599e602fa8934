import { start, step, all } from "/interactive/model/log.js";

export function replay([policy, days, reset, events]) {
  let s = start({ policy, days, reset });
  const reads = [];
  for (const event of events.split(" ")) {
    s = step(s, event);
    if (event[0] === "r") reads.push(s.got);
  }
  return [s.base, s.end, all(s).map((r) => `${r.offset}:${r.key}=${r.value ?? ""}`).join(" "), reads];
}
