/* The English stemmer of Snowball (Porter 2), as the crate rust-stemmers has it at build: a test compares the
   two over all words of the guide. */
const IRREGULAR = { skis: "ski", skies: "sky", dying: "die", lying: "lie", tying: "tie", idly: "idl", gently: "gentl", ugly: "ugli", early: "earli", only: "onli", singly: "singl" };
const INVARIANT = /^(?:sky|news|howe|atlas|cosmos|bias|andes)$/;
const COMPLETE = /^(?:inning|outing|canning|herring|earring|proceed|exceed|succeed)$/;
const STEP2 = { ational: "ate", tional: "tion", enci: "ence", anci: "ance", abli: "able", entli: "ent", izer: "ize", ization: "ize", ation: "ate", ator: "ate", alism: "al", aliti: "al", alli: "al", fulness: "ful", ousli: "ous", ousness: "ous", iveness: "ive", iviti: "ive", biliti: "ble", bli: "ble", fulli: "ful", lessli: "less" };
const STEP3 = { ational: "ate", tional: "tion", alize: "al", icate: "ic", iciti: "ic", ical: "ic", ful: "", ness: "" };
const ends = (pattern) => new RegExp("(?:" + pattern + ")$");
const IN2 = ends(Object.keys(STEP2).join("|")), IN3 = ends(Object.keys(STEP3).join("|"));
const IN4 = ends("al|ance|ence|er|ic|able|ible|ant|ement|ment|ent|ism|ate|iti|ous|ive|ize");
const SHORT = /(?:[^aeiouy][aeiouy][^aeiouywxY]|^[aeiouy][^aeiouy])$/;
export const stem = (word) => {
  if (word.length < 3) return word;
  if (Object.hasOwn(IRREGULAR, word)) return IRREGULAR[word];
  if (INVARIANT.test(word)) return word;
  let w = word.replace(/^y|(?<=[aeiouy])y/g, "Y");
  const after = (from) => { const at = w.slice(from).search(/[aeiouy][^aeiouy]/); return at < 0 ? w.length : from + at + 2; };
  const special = /^(?:gener|commun|arsen)/.exec(w);
  const r1 = special ? special[0].length : after(0), r2 = after(r1);
  const cut = (n, add = "") => { w = w.slice(0, w.length - n) + add; };
  /* 1a */
  if (w.endsWith("sses")) cut(2);
  else if (/ie[ds]$/.test(w)) cut(w.length > 4 ? 2 : 1);
  else if (/[aeiouy].+s$/.test(w) && !/[us]s$/.test(w)) cut(1);
  if (COMPLETE.test(w)) return w;
  /* 1b */
  const eed = /eed(?:ly)?$/.exec(w), ed = eed ?? /(?:ed|ing)(?:ly)?$/.exec(w);
  if (eed) { if (eed.index >= r1) w = w.slice(0, eed.index) + "ee"; }
  else if (ed && /[aeiouy]/.test(w.slice(0, ed.index))) {
    w = w.slice(0, ed.index);
    if (/(?:at|bl|iz)$/.test(w)) w += "e";
    else if (/(bb|dd|ff|gg|mm|nn|pp|rr|tt)$/.test(w)) cut(1);
    else if (SHORT.test(w) && r1 >= w.length) w += "e";
  }
  /* 1c */
  if (/.[^aeiouy][yY]$/.test(w)) cut(1, "i");
  /* 2 */
  let found = IN2.exec(w);
  if (found) { if (found.index >= r1) cut(found[0].length, STEP2[found[0]]); }
  else if (w.endsWith("logi") && w.length - 3 >= r1) cut(1);
  else if (/[cdeghkmnrt]li$/.test(w) && w.length - 2 >= r1) cut(2);
  /* 3 */
  found = IN3.exec(w);
  if (found) { if (found.index >= r1) cut(found[0].length, STEP3[found[0]]); }
  else if (w.endsWith("ative") && w.length - 5 >= r2) cut(5);
  /* 4 */
  found = IN4.exec(w);
  if (found) { if (found.index >= r2) cut(found[0].length); }
  else if (/[st]ion$/.test(w) && w.length - 3 >= r2) cut(3);
  /* 5 */
  if (w.endsWith("e")) { if (w.length - 1 >= r2 || (w.length - 1 >= r1 && !SHORT.test(w.slice(0, -1)))) cut(1); }
  else if (w.endsWith("ll") && w.length - 1 >= r2) cut(1);
  return w.toLowerCase();
};
