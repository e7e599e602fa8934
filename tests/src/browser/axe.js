// Runs axe in the page; the first argument says what it looks for: "all", "colours" or "narrow". The
// body of a function; its last argument is called with the rules that the page breaks.
const [kind, done] = arguments;

// Two tokens of a listing that are of one class have the same colour on the same ground: one is enough,
// and most elements of a page are tokens. The others become the text that they hold.
for (const token of document.querySelectorAll(["k", "t", "m", "s", "n", "c"].map((c) => `pre .${c} ~ .${c}`).join())) token.replaceWith(token.textContent);

/* An element for each pair of a text's colour, size and weight with the grounds below it. That nothing
   stands over a text has been seen when the page was looked at as a whole. */
const distinct = () => {
  const grounds = new Map(), found = new Map();
  const ground = (e) => {
    if (!e) return "";
    if (!grounds.has(e)) {
      const { backgroundColor, backgroundImage, opacity, position } = getComputedStyle(e);
      grounds.set(e, `${ground(e.parentElement)}>${[backgroundColor, backgroundImage, opacity, position].filter((v) => !["rgba(0, 0, 0, 0)", "none", "1", "static"].includes(v))}`.replace(/>+$/, ""));
    }
    return grounds.get(e);
  };
  for (const e of document.body.querySelectorAll("*")) {
    if (!e.checkVisibility() || ![...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const { color, fontSize, fontWeight, textShadow, textDecorationLine } = getComputedStyle(e);
    const key = [color, fontSize, fontWeight, textShadow, textDecorationLine, e.localName === "a", ground(e)].join();
    if (!found.has(key)) found.set(key, e);
  }
  return [...found.values()];
};

const colours = ["color-contrast", "link-in-text-block"];
// What can differ on a phone: controls that show there alone, what scrolls there, the size of targets.
const narrow = ["target-size", "button-name", "scrollable-region-focusable"];
const runs = {
  all: () => [[document, { rules: { "target-size": { enabled: true } } }]],
  colours: () => [[{ include: distinct() }, { runOnly: colours }]],
  narrow: () => [...runs.colours(), [document, { runOnly: narrow }]],
};
const text = (violation) => `${violation.id}: ${violation.help}: ${violation.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`;

(async () => {
  const found = [];
  for (const [context, options] of runs[kind]()) {
    const { violations } = await axe.run(context, { ...options, resultTypes: ["violations"], preload: false, iframes: false, selectors: false });
    found.push(...violations.map(text));
  }
  return found;
})().then(done, (error) => done([`axe failed: ${error}`]));
