import { range, cooperative } from "/interactive/model/groups.js";

const show = (owned) => Object.keys(owned).sort().map((m) => m + [...owned[m]].sort((a, b) => a - b).join("")).join(" ");

export function replay([assignor, n, events]) {
  let owned = {};
  return events.split(" ").map((event) => {
    const members = Object.keys(owned).filter((m) => m !== event.slice(1));
    if (event[0] === "+") members.push(event.slice(1));
    if (!members.length) owned = {};
    else if (assignor === "range") owned = range(members, n);
    else owned = cooperative(Object.fromEntries(members.map((m) => [m, owned[m] ?? []])), n).at(-1).assigned;
    return show(owned);
  });
}
