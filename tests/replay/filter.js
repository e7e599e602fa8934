import { matches, problem } from "/interactive/model/filter.js";

export function replay([scope, policy], _, { messages }) {
  if (scope.endsWith("-refused")) return Number(problem(policy, scope.startsWith("body")) !== "");
  if (problem(policy, scope === "body")) return problem(policy, scope === "body");
  return messages[scope].map((message) => Number(matches(policy, message).match)).join("");
}
