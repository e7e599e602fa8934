/* The search over INDEX, which the guide puts above: loaded by the first query, and then only the pieces
   that the query needs. */
const loaded = new Map();
const load = (name) => {
  if (!loaded.has(name)) {
    loaded.set(name, fetch(new URL(`${name}-${INDEX.hash}.txt`, import.meta.url)).then((answer) => {
      if (!answer.ok) throw new Error(name + ": " + answer.status);
      return answer.text();
    }).catch((error) => { loaded.delete(name); throw error; }));
  }
  return loaded.get(name);
};
/* What is made of a piece, once. */
const made = new Map();
const make = async (name, how) => {
  const text = await load(name);
  if (!made.has(name)) made.set(name, how(text));
  return made.get(name);
};

const FIRSTS = INDEX.words.split(" "), STOPS = new Set(INDEX.stops.split(" "));
const GUIDE = INDEX.pages.replaceAll("e", "").length;
/* The last piece that begins at or before a key. */
const pieceOf = (firsts, key) => Math.max(0, firsts.findLastIndex((first) => first <= key));
const wordsOf = (piece) => make("w" + piece, (text) => new Map(text.split("\n").map((line) => line.split(" "))));

/* The pages of a word: its worth there, and its worths in their sections. */
const postings = (line) => {
  const pages = new Map();
  let page = -1, section = -1, sections;
  for (const [, distance, step] of line.matchAll(/(\d*)([A-Za-z])/g)) {
    if (step < "a") {
      page += 1 + +distance;
      section = -1;
      pages.set(page, { worth: ((step.charCodeAt() - 65) / 25) ** 2 * 14, sections: sections = new Map() });
    } else {
      section += 1 + +distance;
      sections.set(section, ((step.charCodeAt() - 97) / 5) ** 2 * 6.5);
    }
  }
  return pages;
};
const exact = async (term) => {
  const line = (await wordsOf(pieceOf(FIRSTS, term))).get(term);
  return line && [[term, postings(line)]];
};

/* The words that begin with what is not typed to its end yet; the more pages, the likelier. */
const beginning = async (typed) => {
  if (typed.length < 2) return;
  const from = pieceOf(FIRSTS, typed), to = Math.min(pieceOf(FIRSTS, typed + "\uffff"), from + 2);
  const pieces = await Promise.all(Array.from({ length: to - from + 1 }, (_, i) => wordsOf(from + i)));
  const lines = pieces.flatMap((piece) => [...piece]);
  for (let n = typed.length; n >= Math.max(2, Math.min(4, typed.length), typed.length - 4); n--) {
    const begin = typed.slice(0, n);
    /* A stem ends otherwise than its word: "visibl" for what is typed as "visibilit". */
    const found = lines.filter(([term]) => term.startsWith(begin) && (n === typed.length || term.length <= n + 2));
    if (found.length) {
      found.sort((a, b) => b[1].length - a[1].length);
      return found.slice(0, 8).map(([term, line]) => [term, postings(line)]);
    }
  }
};

/* How many letters are too many, too few, wrong or changed places; more than `most` is not counted. */
const slips = (a, b, most) => {
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let before = [], row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) next[j] = Math.min(next[j], before[j - 2] + 1);
      least = Math.min(least, next[j]);
    }
    if (least > most) return most + 1;
    before = row; row = next;
  }
  return row[b.length];
};
/* The word of the guide that is nearest to one that it has not. */
const nearest = async (word) => {
  if (word.length < 4) return;
  const all = await make("v", (text) => text.split("\n").map((line) => [line.slice(0, -1), +line.slice(-1)]));
  const most = word.length < 8 ? 1 : 2;
  let best, least = Infinity;
  for (const [known, often] of all) {
    const wrong = slips(word, known, most);
    if (wrong > most) continue;
    const cost = wrong * 10 + (word[0] === known[0] ? 0 : 4) - often;
    if (cost < least) [best, least] = [known, cost];
  }
  return best;
};

/* A word of the query as what the guide has for it: `forms` are stems with their pages. */
const look = async (word, isLast) => {
  const found = await exact(stem(word)) ?? (isLast ? await beginning(word) : undefined);
  if (found) return { word, forms: found };
  const near = await nearest(word), forms = near && await exact(stem(near));
  return forms ? { word, near, forms } : { word, forms: [] };
};

/* Words side by side as they stand in a title, a heading or among keywords, with what that adds. */
const phrasesOf = async (looked) => {
  const stems = looked.map(({ word, near, forms }) => (forms.length === 1 ? forms[0][0] : stem(near ?? word)));
  const all = [];
  for (let from = 0; from < stems.length; from++) for (let to = from + 2; to <= Math.min(stems.length, from + 4); to++) all.push("+" + stems.slice(from, to).sort().join(""));
  if (stems.length === 1) all.push("+" + stems[0]);
  const found = await Promise.all(all.map(exact));
  return found.filter(Boolean).map((forms) => ({ forms, bonus: 2 }));
};

const WORD = /[\p{L}\p{N}]+(?:[._-]+[\p{L}\p{N}]+)*/gu;
const partsOf = (name) => name.split(/[._-]+/);
/* The words of a query; a name of several (`max.poll.interval.ms`) is one word when the guide has it. */
const wordsIn = async (query) => {
  const names = [...new Set(query.toLowerCase().match(WORD) ?? [])];
  const known = await Promise.all(names.map(async (name) => {
    const parts = partsOf(name), whole = parts.join("");
    return parts.length === 1 || await exact(stem(whole)) ? [whole] : parts;
  }));
  const all = [...new Set(known.flat())], telling = all.filter((word) => !STOPS.has(word));
  return telling.length ? telling : all;
};

/* How much a word tells by being on a page: little when it is on many. A page that only mentions it counts
   less than one that is about it. */
const rarity = (pages) => {
  let count = 0;
  pages.forEach(({ worth }, page) => { if (INDEX.pages[page] !== "e") count += Math.min(1, worth / 2.5); });
  return Math.log(1 + (GUIDE - count + 0.5) / (count + 0.5));
};

/* The pages with the words, the best first: those of the guide, then those of evidence. */
const rank = (looked, systems) => {
  const found = new Map();
  let all = 0;
  for (const { forms, share = 1, bonus } of looked) {
    if (!forms.length) continue;
    const weights = forms.map(([, pages]) => bonus ?? rarity(pages)), weight = Math.max(...weights) * share;
    if (!bonus) all += weight;
    const best = new Map();
    forms.forEach(([, pages], i) => pages.forEach(({ worth, sections }, page) => {
      const here = best.get(page) ?? { worth: 0, sections: new Map() };
      const part = forms.length > 1 ? 0.8 * weights[i] / Math.max(...weights) : 1;
      here.worth = Math.max(here.worth, worth * part);
      sections.forEach((worth, section) => here.sections.set(section, Math.max(here.sections.get(section) ?? 0, worth * part)));
      best.set(page, here);
    }));
    best.forEach(({ worth, sections }, page) => {
      const here = found.get(page) ?? { score: 0, has: 0, sections: new Map() };
      here.score += weight * worth;
      if (!bonus) here.has += weight;
      sections.forEach((worth, section) => here.sections.set(section, (here.sections.get(section) ?? 0) + weight * worth));
      found.set(page, here);
    });
  }
  const pages = [...found].map(([page, { score, has, sections }]) => {
    const kind = INDEX.pages[page];
    /* The head leads to the page's beginning, unless a section says more. */
    let section = 0, most = sections.get(0) ?? 0;
    sections.forEach((worth, of) => { if (worth > most * 1.1) [section, most] = [of, worth]; });
    const other = systems.size && !systems.has(kind) && kind !== "-";
    const share = all ? has / all : 0;
    return { page, section, share, score: (score + most) * (0.3 + 0.7 * share) * (other ? 0.5 : systems.size === 1 && systems.has(kind) ? 1.25 : 1) };
  });
  const late = ({ page }) => INDEX.pages[page] === "e";
  return pages.sort((a, b) => late(a) - late(b) || b.score - a.score || a.page - b.page);
};

const headOf = async (page) => {
  const piece = pieceOf(INDEX.heads, page);
  const lines = await make("h" + piece, (text) => text.split("\n").map((line) => JSON.parse(line)));
  return lines[page - INDEX.heads[piece]];
};
const SYSTEMS = Object.fromEntries(Object.entries(INDEX.systems).map(([name, kind]) => [kind, name]));
/* As mdBook makes the id of a heading. */
const slug = (heading) => heading.trim().toLowerCase().replaceAll("`", "").replace(/[^\p{L}\p{N}_\s-]/gu, "").replace(/\s/g, "-");
const hitOf = async ({ page, section }, stems) => {
  const [address, part, sections] = await headOf(page);
  const [heading, own] = sections[section] ?? sections[0], kind = INDEX.pages[page];
  const id = section ? own || slug(heading) : "";
  const chunk = sections.slice(0, section + 1).filter((one) => one[2]).length - 1;
  const first = sections.slice(0, section + 1).findLastIndex((one) => one[2]);
  return {
    title: sections[0][0], section: id && heading, part, system: SYSTEMS[kind], evidence: kind === "e",
    href: new URL("../" + address + (id && "#" + id), import.meta.url).href,
    /* The sentence with most of the words, as [text, whether it is one of the words]. */
    sentence: async () => {
      if (kind === "e") return [];
      const text = (await load(`t${page}.${Math.max(0, chunk)}`)).split("\n\n")[Math.max(0, section - first)] ?? "";
      return marked(text, stems);
    },
  };
};

const has = (stems, word) => {
  const whole = partsOf(word.toLowerCase()).join("");
  return stems.some(([term, weight]) => weight && (stem(whole) === term)) || partsOf(word.toLowerCase()).some((part) => stems.some(([term]) => stem(part) === term));
};
const marked = (text, stems) => {
  const sentences = text.split(/\n|(?<=[.!?]) (?=[\p{Lu}`“"])/u).filter(Boolean);
  let best = "", most = -1;
  for (const sentence of sentences) {
    const words = new Set((sentence.toLowerCase().match(WORD) ?? []).flatMap((word) => [partsOf(word).join(""), ...partsOf(word)]).map(stem));
    /* A cell of a table is no sentence. */
    const worth = (0.1 + stems.reduce((sum, [term, weight]) => sum + (words.has(term) ? weight : 0), 0)) * (sentence.length > 30 ? 1 : 0.5);
    if (worth > most) [best, most] = [sentence, worth];
  }
  const parts = [];
  let end = 0;
  for (const { 0: word, index } of best.matchAll(WORD)) {
    if (!has(stems, word)) continue;
    parts.push([best.slice(end, index), false], [word, true]);
    end = index + word.length;
  }
  parts.push([best.slice(end), false]);
  /* Two lines of it are shown: they begin a little before the first word. */
  if (parts.length > 1 && parts[0][0].length > 70) parts[0][0] = "… " + parts[0][0].slice(-60).replace(/^\S*\s/, "");
  return parts;
};

/* The pages for a query, each with its best section, at most `most` of the guide and two of evidence; how many
   there are; what was searched for instead of words that the guide has not; and pages that lead on when
   there is nothing. */
export const search = async (query, most) => {
  const words = await wordsIn(query);
  const isOpen = !/\s$/.test(query);
  const looked = await Promise.all(words.map((word, i) => look(word, isOpen && i === words.length - 1)));
  const systems = new Set(looked.flatMap(({ word, near }) => INDEX.systems[near ?? word] ?? []));
  /* Two systems are to be compared. */
  const compared = systems.size > 1 && await exact(stem("versus"));
  /* A system decides on which pages come first; what is asked about it decides on which of them. */
  if (systems.size < looked.length) for (const one of looked) if (INDEX.systems[one.near ?? one.word]) one.share = 0.4;
  const phrases = await phrasesOf(looked);
  const ranked = rank(compared ? [...looked, ...phrases, { forms: compared, bonus: words.length > systems.size ? 0.6 : 2.5 }] : [...looked, ...phrases], systems);
  const stems = looked.flatMap(({ forms }) => forms.map(([term, pages]) => [term, rarity(pages)]));
  const isLate = ({ page }) => INDEX.pages[page] === "e";
  const guide = ranked.filter((hit) => !isLate(hit)), late = ranked.filter(isLate);
  const hits = await Promise.all([...guide.slice(0, most), ...late.slice(0, 2)].map((hit) => hitOf(hit, stems)));
  const ways = hits.length ? [] : await Promise.all(INDEX.ways.map((page) => hitOf({ page, section: 0 }, [])));
  return {
    hits, ways, count: ranked.filter(({ share }) => share > 0.5).length,
    instead: looked.filter(({ near }) => near).map(({ word, near }) => [word, near]),
    unknown: looked.filter(({ forms }) => !forms.length).map(({ word }) => word),
  };
};
