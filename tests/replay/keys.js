import { partition } from "/interactive/model/groups.js";

const places = (key, client) => [1, 2, 3, 4, 5, 6, 7, 8].map((n) => partition(key, n, client)).join("");

export const replay = (key) => [places(key, "rust"), places(key, "java"), places(key, "java")];
