// A RabbitMQ queue and its consumers. Pure: no page, no clock, no chance.
// Events: s1 publishes message 1, +A consumes, -A closes its channel, aA1 A acks 1, jA1 rejects it, rA1 rejects it with requeue,
// nA1 nacks it with requeue. Without a number it is the oldest that A holds.

// queue: { quorum, prefetch (0 none), limit (delivery limit; 0 none set: 20), letters (a dead-letter exchange) }.
export const start = (queue) => ({ ...queue, sent: 0, ready: [], hands: {}, turn: [], dead: [], dropped: [], news: [], said: "" });

export const most = (s) => (s.quorum ? s.limit || 20 : Infinity);

// Hands out what waits, to one consumer after the other, while one has room.
function hand(s) {
  const room = (w) => !s.prefetch || s.hands[w].length < s.prefetch;
  while (s.ready.length) {
    const w = s.turn.shift();
    if (!w) break;
    if (!room(w)) continue;
    const m = s.ready.shift();
    s.hands[w].push(m);
    s.news.push({ who: w, id: m.id, again: m.again });
    // A quorum queue forgets at once who is full, a classic one when it comes to it.
    if (!s.quorum || room(w)) s.turn.push(w);
  }
  return s;
}

// Back to where it was, in a quorum queue behind others that came back; or aside when the delivery limit is behind it.
function back(s, m, counts) {
  const count = m.count + counts;
  if (count > most(s)) return aside(s, m, "delivery_limit");
  const later = s.ready.findIndex((x) => (s.quorum ? !x.again : x.place > m.place));
  s.ready.splice(later < 0 ? s.ready.length : later, 0, { ...m, count, again: true });
}

function aside(s, m, reason) {
  (s.letters ? s.dead : s.dropped).push({ id: m.id, reason });
}

const list = (ids) => (ids.length > 1 ? ids.slice(0, -1).join(", ") + " and " + ids.at(-1) : ids[0]);

function told(s) {
  const each = Object.keys(s.hands).map((w) => [w, s.news.filter((x) => x.who === w)]).filter(([, got]) => got.length);
  return each.map(([w, got]) => ` ${w} is sent ${list(got.map((x) => x.id + (x.again ? " again" : "")))}.`).join("");
}

export function step(before, event) {
  const s = { ...before, ready: [...before.ready], turn: [...before.turn], dead: [...before.dead], dropped: [...before.dropped], news: [], hands: Object.fromEntries(Object.entries(before.hands).map(([w, held]) => [w, [...held]])) };
  const op = event[0], who = event[1], set = s.dead.length + s.dropped.length, no = (said) => ({ ...before, news: [], said });
  let said;
  if (op === "s") {
    const id = event.slice(1);
    s.ready.push({ id, place: s.sent++, count: 0, again: false });
    said = `${id} is published.`;
  } else if (op === "+") {
    if (s.hands[who]) return no(`${who} consumes already.`);
    s.hands[who] = [];
    s.turn.push(who);
    said = `${who} consumes.`;
  } else if (!s.hands[who]) {
    return no(`${who} does not consume.`);
  } else if (op === "-") {
    const held = s.hands[who];
    delete s.hands[who];
    s.turn = s.turn.filter((w) => w !== who);
    for (const m of held) back(s, m, 1);
    said = `${who} is gone.` + (held.length ? ` What it had not acknowledged goes back: ${list(held.map((m) => m.id))}.` : "");
  } else {
    const m = event.length > 2 ? s.hands[who].find((x) => x.id === event.slice(2)) : s.hands[who][0];
    if (!m) return no(`${who} holds no such message.`);
    s.hands[who] = s.hands[who].filter((x) => x !== m);
    if (!s.turn.includes(who)) s.turn.push(who);
    if (op === "j") aside(s, m, "rejected");
    if (op === "r") back(s, m, 1);
    if (op === "n") back(s, m, 0);
    said = { a: `${who} acks ${m.id}: it is gone.`, j: `${who} rejects ${m.id}.`, r: `${who} gives ${m.id} back by reject.`, n: `${who} gives ${m.id} back by nack.` }[op];
  }
  const lost = [...s.dead, ...s.dropped].length - set, last = s.letters ? s.dead.slice(-lost) : s.dropped.slice(-lost);
  if (lost) said += ` ${list(last.map((x) => x.id))} ${s.letters ? "went to the dead-letter exchange" : lost > 1 ? "are dropped" : "is dropped"}: ${last[0].reason}.`;
  hand(s);
  return { ...s, said: said + told(s) };
}

export const play = (queue, events) => events.reduce(step, start(queue));
