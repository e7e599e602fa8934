import { route } from "/interactive/model/exchange.js";

const unrouted = { type: "fanout", bindings: [{ queue: "alt", key: "", args: "" }] };

export function replay([type, list, key, headers, mandatory, alternate]) {
  const bindings = list.map(([queue, k, args]) => ({ queue, key: k, args }));
  const exchange = { type, bindings, alternate: [undefined, unrouted, { ...unrouted, bindings: [] }][alternate] };
  const got = route(exchange, { key, headers, mandatory: mandatory === 1 });
  return [["q0", "q1", "q2", "alt"].map((q) => Number(got.queues.includes(q))).join(""), Number(got.outcome === "returned"), Number(got.confirmed), got.why.filter((w) => w.refused).length];
}
