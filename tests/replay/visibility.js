import { start, step } from "/interactive/model/visibility.js";

// A receive may hand out any candidate: the queue's choice must be one, and the model follows it.
export function replay([fifo, timeout, max, events], [real]) {
  let s = start({ fifo: fifo === 1, timeout, max });
  const results = events.split(" ").map((event, i) => {
    const held = s.hands[event[1]]?.some((hand) => hand.id === event.slice(2).split(":")[0]);
    const before = s, took = real[i].split("#")[0];
    s = step(before, event);
    if (event[0] === "r" && took !== "-" && s.got !== took) s = step(before, event, took);
    if (event[0] === "r") return s.got ? `${s.got}#${s.messages.find((m) => m.id === s.got).count}` : "-";
    if (event[0] !== "d" && event[0] !== "v") return "";
    // Which error a refusal is the model does not say.
    return !held ? "none" : s.ok ? "ok" : ["ok", "none"].includes(real[i]) ? "an error" : real[i];
  });
  return [results, s.messages.filter((m) => m.state === "dead").map((m) => m.id).sort().join("")];
}
