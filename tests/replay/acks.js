import { start, step } from "/interactive/model/acks.js";

export function replay([quorum, prefetch, limit, letters, events]) {
  let s = start({ quorum: quorum === 1, prefetch, limit, letters: letters === 1 });
  const results = events.split(" ").map((event) => {
    s = step(s, event);
    // Between two channels there is no order.
    const news = s.news.sort((a, b) => (a.who < b.who ? -1 : a.who > b.who ? 1 : 0));
    return [news.map((x) => x.who + x.id + (x.again ? "*" : "")).join(" "), s.ready.length, s.dead.length];
  });
  return [results, s.dead.map((x) => `${x.id}:${x.reason}`).join(" ")];
}
