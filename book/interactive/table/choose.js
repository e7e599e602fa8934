// The table of the part, for each of its starts: caption, head, rows.
import { questions, together, signed, systems } from "../model/choose.js";

export function truth() {
  const rows = questions.flatMap((q) => Object.values(q.answers).filter((a) => a[1].length).map((a) => [`${q.ask} ${a[0][0].toUpperCase() + a[0].slice(1)}`, a[1]]));
  const both = together.map(([answers, x]) => [Object.entries(answers).map(([id, v]) => questions.find((q) => q.id === id).ask + " " + questions.find((q) => q.id === id).answers[v][0]).join(" + "), [x]]);
  return ["Every point, answer by answer", ["Answer", ...systems], [...rows, ...both].map(([what, points]) => [what, ...systems.map((n) => points.filter((x) => x.system === n).map((x) => `${signed(x.weight)} ${x.says}. {{#ev ${x.claim}}}`).join(" ") || "\u2013")])];
}
