/* The search over INDEX, which the guide puts above: loaded by the first query, and then only the pieces
   that the query needs. */
const SCORES = [1, 2, 6, 12];
const loaded = new Map();
const load = (name) => {
  if (!loaded.has(name)) {
    loaded.set(name, fetch(new URL(name, import.meta.url)).then((answer) => {
      if (!answer.ok) throw new Error(name + ": " + answer.status);
      return answer.text();
    }).catch((error) => { loaded.delete(name); throw error; }));
  }
  return loaded.get(name);
};

/* The last piece that begins at or before a key. */
const pieceOf = (pieces, key) => Math.max(0, pieces.findLastIndex(([first]) => first <= key));

/* The words of the index that begin with a word: only itself when it is one letter. */
const linesOf = async (word) => {
  const from = pieceOf(INDEX.words, word), to = word.length > 1 ? pieceOf(INDEX.words, word + "\uffff") : from;
  const pieces = await Promise.all(INDEX.words.slice(from, to + 1).map(([, name]) => load(name)));
  const all = pieces.flatMap((piece) => piece.split("\n")).map((line) => line.split(" "));
  return all.filter(([term]) => term.replace("*", "") === word || (word.length > 1 && term.startsWith(word)));
};

/* The sections that have a word, with their scores; whether it is in nearly all of them. */
const placesOf = async (word) => {
  const scores = new Map();
  let common = false;
  for (const [term, ...places] of await linesOf(word)) {
    const whole = term.replace("*", "") === word;
    common ||= whole && term.endsWith("*");
    const rarity = Math.log(1 + INDEX.sections / Math.max(1, places.length)) * (whole ? 2 : 1);
    let section = 0;
    for (const place of places) {
      const number = parseInt(place, 36);
      section += number >> 2;
      scores.set(section, Math.max(scores.get(section) ?? 0, SCORES[number & 3] * rarity));
    }
  }
  return { scores, common };
};

const nameOf = async (section) => {
  const [first, name] = INDEX.names[pieceOf(INDEX.names, section)];
  let start = first;
  for (const [title, part, address, sections] of JSON.parse(await load(name))) {
    if (section < start + sections.length) {
      const [id, heading] = sections[section - start];
      const href = new URL("../" + address + (id && "#" + id), import.meta.url).href;
      return { title: heading || title, where: [part, id && title].filter(Boolean).join(" › "), href };
    }
    start += sections.length;
  }
};

/* The best sections with all words of a query, or with as many as any has, and how many there are. */
export const search = async (query, most) => {
  const names = query.toLowerCase().split(/[^\p{L}\p{N}._-]+/u).map((name) => name.split(/[._-]+/).filter(Boolean));
  /* A name of several words is looked for as a whole, and by its words when the guide has no such name. */
  const known = await Promise.all(names.map(async (parts) => (await linesOf(parts.join(""))).length > 0));
  const words = [...new Set(names.flatMap((parts, i) => (known[i] ? parts.join("") : parts)))].filter(Boolean);
  const places = await Promise.all(words.map(placesOf));
  const telling = places.filter(({ common }) => !common);
  const found = new Map();
  for (const { scores } of telling.length ? telling : places) {
    for (const section of scores.keys()) found.set(section, (found.get(section) ?? 0) + 1);
  }
  const best = Math.max(0, ...found.values());
  const score = (section) => places.reduce((sum, { scores }) => sum + (scores.get(section) ?? 0), 0);
  const ranked = [...found.keys()].filter((section) => found.get(section) === best)
    .map((section) => [score(section), section]).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  return { hits: await Promise.all(ranked.slice(0, most).map(([, section]) => nameOf(section))), count: ranked.length };
};
