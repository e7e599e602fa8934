import { range, cooperative } from "/interactive/model/groups.js";

// The Java client asks members in the order of a hash map of their ids; ids in the same bucket may stand either way.
function* orders(members, buckets) {
  if (!members.length) yield [];
  const low = Math.min(...members.map((m) => buckets[m]));
  for (const first of members.filter((m) => buckets[m] === low)) for (const rest of orders(members.filter((m) => m !== first), buckets)) yield [first, ...rest];
}

const show = (owned) => Object.keys(owned).sort().map((m) => m + [...owned[m]].sort((a, b) => a - b).join("")).join(" ");

// Each rebalance begins with what the members really held.
export function replay([assignor, n, events, buckets], real) {
  let owned = {};
  return events.split(" ").map((event, i) => {
    const held = Object.fromEntries(real[i].split(" ").filter(Boolean).map((x) => [x[0], [...x.slice(1)].map(Number)]));
    const members = Object.keys(held).sort(), had = Object.fromEntries(members.map((m) => [m, owned[m] ?? []]));
    owned = held;
    if (!members.length) return "";
    if (assignor === "range") return show(range(members, n));
    const of = Object.fromEntries(members.map((m, k) => [m, buckets?.[i]?.[k] ?? k]));
    const mine = [...orders(members, of)].map((order) => show(cooperative(had, n, order).at(-1).assigned));
    return mine.find((m) => m === real[i]) ?? mine[0];
  });
}
