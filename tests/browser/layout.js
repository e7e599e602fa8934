// What is wrong with the layout of the page that is open, at its width and size of text, in each font
// of the first argument. The body of a function; it returns a list of sentences.
const [fonts] = arguments;
const faults = [];
const root = document.documentElement;
// A sheet made by script is no inline style: the policy lets it be.
const before = [...document.adoptedStyleSheets], sheet = new CSSStyleSheet();
document.adoptedStyleSheets = [...before, sheet];

const name = (e) => {
  const text = (e.ariaLabel ?? e.textContent).trim().replace(/\s+/g, " ").slice(0, 40);
  return `<${[e.localName, ...e.classList].join(".")}> "${text}"`;
};
const crossing = (a, b, by) =>
  Math.min(a.right, b.right) - Math.max(a.left, b.left) > by && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > by;

/* The page: nothing beyond its edge, no text beyond the box that it is set in. */
const page = (say) => {
  const shows = root.clientWidth;
  if (root.scrollWidth > shows) {
    const beyond = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > shows + 0.5 && !scrolls(e));
    const innermost = beyond.filter((e) => !beyond.some((other) => other !== e && e.contains(other)));
    say(`${root.scrollWidth} px wide where ${shows} show: ${innermost.slice(0, 8).map(name).join(", ")}`);
  }
  // The space around a mark at the end of a line hangs over it.
  const hangs = 0.4 * parseFloat(getComputedStyle(root).fontSize);
  for (const e of document.querySelectorAll(".bar, .bar *, main, main *, .end *")) {
    if (!e.ownerSVGElement && e.clientWidth && e.scrollWidth > e.clientWidth + hangs && hasText(e) && getComputedStyle(e).overflowX === "visible") {
      say(`${name(e)} is ${e.scrollWidth} px wide in a box of ${e.clientWidth}`);
    }
  }
};
const hasText = (e) => [...e.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
const scrolls = (e) => {
  for (let up = e.parentElement; up && up !== document.body; up = up.parentElement) if (getComputedStyle(up).overflowX !== "visible") return true;
  return false;
};

/* The bar: its parts stand apart, inside of it, and are all there. */
const bar = (say) => {
  const box = document.querySelector(".bar");
  if (!box) return;
  const around = box.getBoundingClientRect();
  const parts = [...box.querySelectorAll(":scope > button, .name > span")].filter((e) => e.checkVisibility());
  const boxes = parts.map((e) => {
    const range = document.createRange();
    range.selectNodeContents(e);
    return range.getBoundingClientRect();
  });
  parts.forEach((part, i) => {
    const b = boxes[i];
    if (b.left < 0 || b.right > root.clientWidth || b.top < around.top || b.bottom > around.bottom) say(`in the bar ${name(part)} stands over its edge`);
    // Less than five pixels between two words are no gap.
    parts.slice(i + 1).forEach((other, j) => {
      const o = boxes[i + 1 + j];
      if (crossing({ left: b.left - 5, right: b.right + 5, top: b.top, bottom: b.bottom }, o, 0)) say(`in the bar ${name(part)} touches ${name(other)}`);
    });
  });
  const title = box.querySelector(".name span"), words = (text) => text.split(/\s+/).filter(Boolean).join(" ");
  if (words(title.innerText) !== words(title.textContent)) say(`the bar shows "${words(title.innerText)}" of "${words(title.textContent)}"`);
};

/* The contents, where they open over the page. */
const contents = (say) => {
  const nav = document.querySelector("#nav");
  if (!nav || !document.querySelector(".contents").checkVisibility()) return;
  nav.showPopover();
  if (nav.scrollWidth > nav.clientWidth) say(`${name(nav)} scrolls sideways when it is open`);
  nav.hidePopover();
};

/* Drawings: a text stays in the drawing, crosses no line and no edge, and no other text. */
const geometry = (globalThis.geometryOfDrawings ??= new WeakMap());
const outline = (shape) => {
  let points = geometry.get(shape);
  if (!points) {
    const length = shape.getTotalLength();
    points = [];
    // A dot, which has no length, is a numeral's own ground.
    for (let at = 0; length && at <= length; at += 1.5) points.push(shape.getPointAtLength(at));
    geometry.set(shape, points);
  }
  return points;
};
const drawings = (say) => {
  const paper = getComputedStyle(document.body).backgroundColor;
  for (const svg of document.querySelectorAll("svg.drawing")) {
    if (!svg.checkVisibility() || !svg.getBoundingClientRect().width) continue;
    const base = svg.viewBox.baseVal;
    const of = `in the drawing "${svg.querySelector("title")?.textContent ?? svg.ariaLabel}"`;
    const all = [...svg.querySelectorAll("path, rect, circle, ellipse, line, polygon, polyline, text")].filter((e) => !e.closest("defs, marker"));
    const texts = all.filter((e) => e.localName === "text" && e.textContent.trim()).map((e) => {
      const box = e.getBBox(), size = parseFloat(getComputedStyle(e).fontSize), line = e.getStartPositionOfChar(0).y;
      return { e, left: box.x, right: box.x + box.width, top: line - 0.72 * size, bottom: line + 0.04 * size };
    });
    const shapes = all.filter((e) => e.localName !== "text").map((e) => {
      const style = getComputedStyle(e);
      const filled = style.fill !== "none" && style.fillOpacity > 0 && e.getAttribute("fill") !== "none";
      return { e, stroked: style.stroke !== "none", filled, paper: style.fill === paper };
    });
    texts.forEach((text, i) => {
      const label = `${of} "${text.e.textContent}"`;
      const out = Math.max(base.x - text.left, text.right - base.x - base.width, base.y - text.top, text.bottom - base.y - base.height);
      if (out > 0.5) say(`${label} stands ${out.toFixed(1)} units over the edge`);
      const ink = { left: text.left - 0.5, right: text.right + 0.5, top: text.top + 0.8, bottom: text.bottom - 0.4 };
      for (const other of texts.slice(i + 1)) if (crossing({ ...ink, left: ink.left - 1, right: ink.right + 1 }, other, 0)) say(`${label} runs into "${other.e.textContent}"`);
      shapes.forEach((shape, k) => {
        if (!shape.stroked && (!shape.filled || shape.paper)) return;
        const hits = outline(shape.e).filter((p) => p.x > ink.left && p.x < ink.right && p.y > ink.top && p.y < ink.bottom);
        const seen = hits.find((p) => !shapes.slice(k + 1).some((later) => later.filled && later.e.isPointInFill(p)));
        if (seen) say(`${label} crosses a ${shape.e.localName} at ${seen.x.toFixed(0)}, ${seen.y.toFixed(0)}`);
      });
    });
  }
};

/* The theme takes its faces from three properties: if it did not, each font would show the same. */
const faces = (say, expected) => {
  for (const [selector, face] of Object.entries(expected)) {
    const e = document.querySelector(selector);
    if (e && !getComputedStyle(e).fontFamily.includes(face)) say(`${name(e)} is set in ${getComputedStyle(e).fontFamily}`);
  }
};

for (const font of fonts) {
  sheet.replaceSync(font.css);
  const say = (fault) => faults.push(`${font.name}: ${fault}`);
  faces(say, font.faces);
  page(say);
  bar(say);
  drawings(say);
  contents(say);
}
document.adoptedStyleSheets = before;
return faults;
