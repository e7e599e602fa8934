/* Asks the search of a built site, and of its peers, in node: `node quality.mjs QUERIES ENGINE FOLDER`, where
   QUERIES is a file with a JSON list. Prints for each query the addresses that were found, in order, and what
   it took: bytes as a server sends them (gzip 6) when it is the first query and its time in ms; and the bytes
   of each ten queries of one visit. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

const [, , list, engine, folder] = process.argv;
const queries = JSON.parse(await readFile(list, "utf8"));
const root = pathToFileURL(folder + "/").href;
const sizes = new Map();
let visit = new Set();
const get = async (address) => {
  const file = new URL(address, root);
  file.search = file.hash = "";
  const bytes = await readFile(file);
  if (!sizes.has(file.href)) sizes.set(file.href, bytes[0] === 0x1f && bytes[1] === 0x8b ? bytes.length : gzipSync(bytes, { level: 6 }).length);
  visit.add(file.href);
  return bytes;
};
/* A browser's own, with files for a server. */
globalThis.fetch = async (address) => {
  const bytes = await get(String(address?.url ?? address));
  return { ok: true, status: 200, text: async () => bytes.toString(), json: async () => JSON.parse(bytes), arrayBuffer: async () => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) };
};
const bytes = () => [...visit].reduce((sum, file) => sum + sizes.get(file), 0);
const page = (href) => href.slice(href.startsWith(root) ? root.length : 0).replace(/^\//, "").replace(/[?#].*$/, "").replace(/\.html$/, "");

const engines = {
  /* Each visit has a module of its own, and with it an empty cache. */
  async guide(number) {
    await get("search/search.js");
    const { search } = await import(`${root}search/search.js?${number}`);
    return async (query) => {
      const { hits } = await search(query, 8);
      await Promise.all(hits.map((hit) => hit.sentence()));
      return hits.map(({ href }) => href);
    };
  },
  async pagefind(number) {
    globalThis.window = globalThis;
    globalThis.location = new URL(root);
    globalThis.document = { querySelector: () => ({ getAttribute: () => "en" }), documentElement: { lang: "en" }, currentScript: null };
    await get("pagefind/pagefind.js");
    const pagefind = await import(`${root}pagefind/pagefind.js?${number}`);
    await pagefind.options({ basePath: root + "pagefind/", baseUrl: "/" });
    await pagefind.init?.();
    return async (query) => {
      const { results } = await pagefind.search(query);
      return (await Promise.all(results.slice(0, 10).map((result) => result.data()))).map(({ url }) => url);
    };
  },
  async stock() {
    await get("elasticlunr.js");
    const name = (await readFile(new URL("searchindex", root), "utf8")).trim();
    const text = (await get(name)).toString();
    globalThis.window = globalThis;
    globalThis.search ??= {};
    new Function("window", "search", text)(globalThis, globalThis.search);
    const { index, doc_urls, search_options } = window.search;
    const elasticlunr = createRequire(import.meta.url)(new URL("elasticlunr.js", root).pathname);
    const loaded = elasticlunr.Index.load(index);
    return async (query) => loaded.search(query, search_options).map(({ ref }) => doc_urls[ref]);
  },
};

const found = [];
for (const [number, query] of queries.entries()) {
  visit = new Set();
  const ask = await engines[engine](number);
  const pages = [...new Set((await ask(query)).map(page))];
  /* Once more with everything there: what a key takes. */
  const start = performance.now();
  await ask(query);
  found.push({ pages, bytes: bytes(), ms: performance.now() - start });
}
const tens = [];
for (let at = 0; at + 10 <= queries.length; at += 10) {
  visit = new Set();
  const ask = await engines[engine]("ten" + at);
  for (const query of queries.slice(at, at + 10)) await ask(query);
  tens.push(bytes());
}
console.log(JSON.stringify({ found, tens }));
