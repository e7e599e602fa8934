// Faults of each kind, put into the page on how to choose.
const main = document.querySelector("main");
const add = (kind, className, style, text = "") => {
  const e = document.createElement(kind);
  e.className = className;
  e.textContent = text;
  Object.assign(e.style, style);
  main.append(e);
  return e;
};
const at = { position: "absolute", left: "0", height: "1px" };

// For axe: in the first view, in the dark, on a phone.
document.querySelector("main p").innerHTML = '<a href="#x"></a>';
main.insertAdjacentHTML("beforeend", '<img src="https://127.0.0.1:1/x.png">');
add("p", "", { color: "light-dark(#000, #222)" }, "dark").id = "pale-in-the-dark";
const small = add("button", "", {}, "x");
small.id = "small-on-a-phone";
small.after(small.cloneNode(true));
const shrinks = new CSSStyleSheet();
shrinks.replaceSync("@media (max-width: 30em) { #small-on-a-phone { width: 9px; height: 9px; overflow: hidden; font-size: 9px; } .bar .name i { display: none; } } @media (max-width: 47em) { .bar .contents { margin-left: -1rem; } .bar .name { margin-right: 0 !important; flex: none !important; } }");
document.adoptedStyleSheets = [shrinks];

// For the console.
console.warn("look here");

// Beyond the edge: everywhere, on the narrowest screen, in one font, with large text alone. A digit is
// 0.64 em wide in DejaVu, 0.57 in Noto, 0.56 in Liberation.
add("div", "always-wide", { ...at, width: "3000px" });
add("div", "wide-at-320", { ...at, width: "350px" });
add("div", "wide-in-dejavu", { ...at, width: "33ch", font: "1rem var(--sans)", fontSize: "16px" });
add("div", "wide-with-large-text", { ...at, width: "19rem" });
add("p", "beyond-its-box", { width: "100px", whiteSpace: "nowrap", overflowWrap: "normal" }, "a text that is longer than its box");

// In a drawing: over its edge, and over a line.
const text = (old, longer) => {
  [...document.querySelectorAll("svg.drawing text")].find((e) => e.textContent === old).textContent = longer;
};
text("Kafka", "Kafka and much more, far beyond the edge of it all");
text("yes", "yes, and quite a lot of others");
