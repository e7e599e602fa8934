/* Scheme switch, copy, tabs, search; a reload after each save while the guide is served. The page reads without any of it. */
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const store = (key, value) => {
    try {
      if (value === undefined) return localStorage.getItem(key);
      value ? localStorage.setItem(key, value) : localStorage.removeItem(key);
    } catch { /* storage is off: the choice lasts for this page */ }
  };
  const own = () => (system.matches ? "dark" : "light");
  const chosen = store("scheme");
  if (chosen) root.dataset.theme = chosen;

  const $ = (sel, from = document) => from.querySelector(sel);
  const $$ = (sel, from = document) => [...from.querySelectorAll(sel)];
  const status = $("#status");
  const say = (text) => { status.textContent = ""; requestAnimationFrame(() => (status.textContent = text)); };

  $(".scheme").addEventListener("click", () => {
    const next = (root.dataset.theme || own()) === "dark" ? "light" : "dark";
    if (next === own()) delete root.dataset.theme;
    else root.dataset.theme = next;
    store("scheme", next === own() ? "" : next);
    say(next + " scheme");
  });

  for (const button of $$(".copy")) {
    const label = button.textContent;
    button.addEventListener("click", async () => {
      const code = document.getElementById(button.getAttribute("aria-controls"));
      try {
        await navigator.clipboard.writeText(code.textContent.trimEnd() + "\n");
        button.textContent = "Copied";
        say("Copied");
        setTimeout(() => (button.textContent = label), 1600);
      } catch {
        code.closest("details")?.setAttribute("open", "");
        getSelection().selectAllChildren(code);
        say("Selected; copy it with the keyboard");
      }
    });
  }

  for (const box of $$(".tabs")) {
    const links = $$(".tablist a", box), panels = $$(":scope > .tab", box);
    const list = $(".tablist", box);
    list.setAttribute("role", "tablist");
    $$("li", list).forEach((li) => li.setAttribute("role", "presentation"));
    const open = (i, move) => {
      links.forEach((link, j) => {
        link.setAttribute("aria-selected", i === j);
        link.tabIndex = i === j ? 0 : -1;
        panels[j].classList.toggle("open", i === j);
      });
      if (move) { links[i].focus({ preventScroll: true }); history.replaceState(null, "", links[i].hash); }
    };
    links.forEach((link, i) => {
      link.setAttribute("role", "tab");
      link.setAttribute("aria-controls", panels[i].id);
      panels[i].setAttribute("role", "tabpanel");
      link.addEventListener("click", (e) => { e.preventDefault(); open(i, true); });
      link.addEventListener("keydown", (e) => {
        const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: links.length - 1 }[e.key];
        if (to === undefined) return;
        e.preventDefault();
        open((to + links.length) % links.length, true);
      });
    });
    const fromHash = () => {
      const target = location.hash && document.getElementById(location.hash.slice(1));
      return panels.findIndex((panel) => target && panel.contains(target));
    };
    open(Math.max(0, fromHash()));
    box.classList.add("on");
    addEventListener("hashchange", () => { const i = fromHash(); if (i >= 0) open(i); });
  }

  const dialog = $("#search"), input = $("input", dialog), list = $("ol", dialog), said = $(".said", dialog);
  /* The search itself is loaded by the first query. A query may be overtaken by the next one. */
  let query = 0;
  const element = (name, content, of = "") => {
    const made = document.createElement(name);
    made.append(content);
    if (of) made.className = of;
    return made;
  };
  const entry = ({ title, section, part, system, href }) => {
    const link = element("a", element("b", [title, section].filter(Boolean).join(" › ")));
    link.href = href;
    if (part) link.append(element("span", part, system ? system + " sq" : ""));
    link.append(element("span", "", "sentence"));
    return link;
  };
  const show = (hits, text) => {
    const first = hits.findIndex(({ evidence }) => evidence);
    list.replaceChildren(...hits.map((hit, i) => {
      const item = element("li", entry(hit));
      if (i === first && i > 0) item.className = "late";
      return item;
    }));
    said.textContent = text;
  };
  /* The sentences come when nobody types: they are most of what a search loads. */
  const tell = (hits, mine) => setTimeout(async () => {
    if (mine !== query) return;
    const places = $$(".sentence", list);
    const sentences = await Promise.all(hits.map(({ sentence }) => sentence().catch(() => [])));
    if (mine !== query) return;
    sentences.forEach((parts, i) => places[i].append(...parts.map(([text, isMark]) => (isMark ? element("mark", text) : text))));
  }, 150);
  const find = async () => {
    const mine = ++query, text = input.value;
    if (!text.trim()) return show([], "Page titles, error texts, settings, names in the code.");
    try {
      const { search } = await import(new URL(dialog.dataset.search, document.baseURI));
      const { hits, ways, count, instead, unknown } = await search(text, 8);
      if (mine !== query) return;
      const lines = instead.map(([word, near]) => `“${word}” is not in the guide: searched for “${near}”.`);
      if (unknown.length) lines.push(`Not in the guide: ${unknown.map((word) => `“${word}”`).join(", ")}.`);
      lines.push(hits.length ? `${count} ${count === 1 ? "page" : "pages"} found.` : "Nothing found. These pages list what there is.");
      show(hits.length ? hits : ways, lines.join(" "));
      tell(hits.length ? hits : ways, mine);
    } catch {
      if (mine === query) show([], "The search cannot be loaded. Try again, or look through the contents.");
    }
  };
  const ask = () => { if (!dialog.open) { dialog.showModal(); find(); input.select(); } };
  $(".find").addEventListener("click", ask);
  input.addEventListener("input", find);
  list.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (e) => { if (e.target === dialog) dialog.close(); });
  dialog.addEventListener("keydown", (e) => {
    const stops = [input, ...$$("a", list)], at = stops.indexOf(document.activeElement);
    if (e.key === "ArrowDown" || e.key === "ArrowUp") {
      e.preventDefault();
      stops[(at + (e.key === "ArrowDown" ? 1 : -1) + stops.length) % stops.length].focus();
    } else if (e.key === "Escape") {
      /* The field of a search would only be cleared. */
      e.preventDefault();
      dialog.close();
    } else if (e.key === "Enter" && at === 0) {
      e.preventDefault();
      stops[1]?.click();
    }
  });
  addEventListener("keydown", (e) => {
    if (e.key.toLowerCase() === "k" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); ask(); }
  });

  if (root.dataset.live) {
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/${root.dataset.live}`);
    socket.addEventListener("message", ({ data }) => { if (data === "reload") location.reload(); });
  }

  const here = $("#nav [aria-current]"), nav = $("#nav");
  if (here) requestAnimationFrame(() => { if (here.offsetParent) nav.scrollTop = here.offsetTop - nav.clientHeight / 2; });
  nav.addEventListener("toggle", (e) => { if (e.newState === "open") here?.scrollIntoView({ block: "center" }); });
})();
