//! The interactive parts on their pages, as a reader meets them: with a keyboard, with addresses from
//! strangers, without scripts, on a phone.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::{
    browser::{Browser, LIGHT_NARROW, LIGHT_WIDE, Tab, site},
    interactive::{self, Workbench},
    root,
};

/// A page for each part, with its element.
const PAGES: [(&str, &str); 7] = [
    ("rabbitmq/topic.html", "sim-exchange"),
    ("rabbitmq/work-queues.html", "sim-acks"),
    ("kafka/consumer-groups.html", "sim-groups"),
    ("kafka/retention.html", "sim-log"),
    ("sqs/fifo.html", "sim-visibility"),
    ("sns/filters.html", "sim-filter"),
    ("compare/how-to-choose.html", "sim-choose"),
];

/// Waits until the part has taken over.
const UPGRADED: &str =
    "return [...document.querySelectorAll('[data-start]')].every((e) => e.state)";

/// 610 addresses for each view: each is either a state that comes back from its own address, or none.
/// Whatever it is, the part draws something, and nothing in what it draws is markup from the address.
const BROKEN: &str = r#"
const { read, tree } = await import("/interactive/kit.js");
const { html } = await import("/interactive/print.js");
const view = await import("/interactive/view/NAME.js");
const all = Object.values(view.starts), good = [...all.map((s) => s.state), ...all.flatMap((s) => s.links.map((l) => l[1]))];
const wrong = [];
let s = 7, count = 0, kept = 0;
const rnd = (n) => { s = (Math.imul(s, 1664525) + 1013904223) >>> 0; return Math.floor((s / 4294967296) * n); };
for (const q of good) if (!read(view, q)) wrong.push("no state: " + q);
const odd = ["", "%22", "%5B", "{}", "null", "-1", "&e=", "~", "%", "+zz", "%7B%22%24or%22%3A%5B1%2C2%5D%7D", "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", "javascript%3Aalert(1)", "%E2%80%AE", "__proto__", "&t=constructor", "1e99", "%00"];
const addresses = Array.from({ length: 600 }, (_, i) => { const base = good[i % good.length], at = rnd(base.length); return base.slice(0, at) + odd[rnd(odd.length)] + base.slice(at + rnd(4)); });
addresses.push("", "t=x&b=a", "e=!A ~ . -Z = * +A +A", "e=rA dA1 vA1:x t-5 s s1 s1 xB", 'p={"a":[{"numeric":[">"]}]}', 'p={"$or":[1,2]}', "p=[]&m=[]", 'p={"a":{"b":null}}&b=1', "n=99&v=1e9&r=-3", "readers=zzz&replay=__proto__", "e=" + "s1 ".repeat(5000));
for (const address of addresses) {
  count++;
  const state = read(view, address);
  if (state) kept++;
  const start = all[0], drawn = tree(view, state ?? view.parse(new URLSearchParams(start.state)), () => {}, { links: start.links, lost: !state });
  const text = drawn.map(html).join("");
  if (text.length < 500) wrong.push("draws nothing: " + address);
  if (/undefined|NaN|\[object/.test(text) && !/undefined|NaN|\[object/.test(decodeURIComponent(address.replace(/%(?![0-9A-F]{2})/gi, "")))) wrong.push("draws nonsense: " + address);
  const box = new DOMParser().parseFromString(text, "text/html");
  for (const e of box.querySelectorAll("img, script, iframe, [onerror], [onclick], a[href^='javascript']")) wrong.push(`markup from ${address}: ${e.outerHTML.slice(0, 80)}`);
  if (state && view.print(state) !== new URLSearchParams(address).toString()) wrong.push("another state: " + address);
}
return { count, kept, wrong };
"#;

#[tokio::test]
async fn an_address_from_a_stranger_breaks_nothing() -> Result<()> {
    let root = root();
    let workbench = Workbench::open(&root).await?;
    for name in interactive::parts(&root)? {
        let fed = workbench.evaluate(&BROKEN.replace("NAME", &name)).await;
        let fed = fed.with_context(|| name.clone())?;
        let wrong = fed["wrong"].as_array().context("no list")?;
        println!(
            "{name}: {} addresses, {} of them states",
            fed["count"], fed["kept"]
        );
        ensure!(
            fed["count"].as_u64() >= Some(610),
            "{name}: only {}",
            fed["count"]
        );
        ensure!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_broken_address_shows_the_first_state_with_one_sentence() -> Result<()> {
    let browser = Browser::start()?;
    let tab = browser.tab(&site()?.address(), LIGHT_WIDE).await?;
    for (page, element) in PAGES {
        tab.open("index.html").await?;
        tab.open(page).await?;
        tab.wait_until(UPGRADED).await?;
        let first = text(&tab, &drawn(element)).await?;
        tab.log().await?;
        tab.open("index.html").await?;
        let strange = format!(
            "{page}#{element}?t=%3Cimg%20src=x%20onerror=document.title=1%3E&e=__proto__&readers=x"
        );
        tab.open(&strange).await?;
        tab.wait_until(UPGRADED).await?;
        ensure!(
            text(&tab, &drawn(element)).await? == first,
            "{page}: another state than the first"
        );
        let said = text(
            &tab,
            &format!("return document.querySelector('{element} > p').textContent"),
        )
        .await?;
        ensure!(
            said.starts_with("The address holds no state"),
            "{page} says {said}"
        );
        let images = tab
            .run(&format!(
                "return document.querySelectorAll('{element} img').length"
            ))
            .await?;
        ensure!(images == 0, "{page}: an image came from the address");
        let log = tab.log().await?;
        ensure!(log.complaints.is_empty(), "{page}: {:?}", log.complaints);
    }
    tab.close().await
}

/// What a part has drawn, or says.
fn drawn(element: &str) -> String {
    format!("return document.querySelector('{element} :is(svg.drawing, .verdict)').outerHTML")
}

async fn text(tab: &Tab, script: &str) -> Result<String> {
    let value = tab.run(script).await?;
    Ok(value.as_str().context("no text")?.to_owned())
}

/// Notes shifts of the layout that no press of a key made.
const SHIFTS: &str = r#"
const shifts = [];
new PerformanceObserver((list) => {
  for (const e of list.getEntries()) if (!e.hadRecentInput) shifts.push(e.value + ": " + e.sources.map((s) => s.node?.parentElement?.outerHTML.slice(0, 80)).join(", "));
}).observe({ type: "layout-shift", buffered: true });
requestAnimationFrame(() => requestAnimationFrame(() => done(shifts)));
"#;

const STOPS: &str = r#"
return [...document.querySelectorAll("ELEMENT :is(a[href], button:not(:disabled), input, textarea, [tabindex='0'])")]
  .filter((e) => e.offsetParent && (e.type !== "radio" || e.checked)).length;
"#;

/// Of what has the focus: whether it is inside, comes after the last, and has an outline.
const FOCUS: &str = r#"
const e = document.activeElement, inside = !!e.closest("ELEMENT"), was = globalThis.lastFocus;
globalThis.lastFocus = e;
const style = getComputedStyle(e.type === "radio" ? e.nextElementSibling : e);
return { inside, after: !was || !was.isConnected || !!(was.compareDocumentPosition(e) & 4), outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1 };
"#;

#[tokio::test]
async fn a_keyboard_reaches_everything_and_each_link_is_told() -> Result<()> {
    let browser = Browser::start()?;
    let tab = browser.tab(&site()?.address(), LIGHT_WIDE).await?;
    for view in [LIGHT_WIDE, LIGHT_NARROW] {
        tab.look(view).await?;
        for (page, element) in PAGES {
            let walked = async {
                walk(&tab, page, element).await?;
                if view == LIGHT_WIDE {
                    follow_links(&tab, page, element).await?;
                }
                anyhow::Ok(())
            };
            let walked = walked.await;
            walked.with_context(|| format!("{page}, {view}"))?;
        }
    }
    tab.close().await
}

async fn walk(tab: &Tab, page: &str, element: &str) -> Result<()> {
    tab.open("index.html").await?;
    tab.open(page).await?;
    tab.wait_until(UPGRADED).await?;
    let shifts = tab.run_async(SHIFTS).await?;
    ensure!(
        shifts == Value::Array(Vec::new()),
        "the layout shifts: {shifts}"
    );
    let fits = "return document.documentElement.scrollWidth <= innerWidth";
    ensure!(tab.run(fits).await? == true, "it scrolls sideways");
    let stops = tab.run(&STOPS.replace("ELEMENT", element)).await?;
    tab.run(&format!("document.querySelector('{element} a').focus()"))
        .await?;
    let mut seen = 0;
    loop {
        let focus = tab.run(&FOCUS.replace("ELEMENT", element)).await?;
        if focus["inside"] != true || seen > 200 {
            break;
        }
        seen += 1;
        ensure!(focus["after"] == true, "stop {seen} is out of order");
        ensure!(focus["outlined"] == true, "stop {seen} has no outline");
        tab.press("Tab").await?;
    }
    ensure!(stops == seen, "Tab reaches {seen} of {stops}");
    Ok(())
}

/// Each link is told in the live region, is the current one, and its address alone gives the same.
async fn follow_links(tab: &Tab, page: &str, element: &str) -> Result<()> {
    let links = format!("{element} .tries a");
    let count = tab
        .run(&format!(
            "return document.querySelectorAll('{links}').length"
        ))
        .await?;
    let count = count.as_u64().context("no count")?;
    ensure!(count >= 2, "only {count} links");
    for index in 0..count {
        let link = format!("document.querySelectorAll('{links}')[{index}]");
        tab.run(&format!(
            "document.querySelector('{element} > [role=status]').textContent = ''; {link}.focus()"
        ))
        .await?;
        tab.press("Enter").await?;
        let told = format!(
            "return document.querySelector('{element} > [role=status]').textContent.length > 10"
        );
        tab.wait_until(&told).await.context("nothing is told")?;
        let current = tab
            .run(&format!("return {link}.getAttribute('aria-current')"))
            .await?;
        ensure!(current == "true", "link {index} is not the current one");
        let followed = text(tab, &drawn(element)).await?;
        let hash = text(tab, "return location.hash").await?;
        tab.open("index.html").await?;
        tab.open(&format!("{page}{hash}")).await?;
        tab.wait_until(UPGRADED).await?;
        let alone = text(tab, &drawn(element)).await?;
        ensure!(
            sorted(&alone) == sorted(&followed),
            "{hash} alone shows something else"
        );
    }
    let complaints = tab.log().await?.complaints;
    ensure!(complaints.is_empty(), "{complaints:?}");
    Ok(())
}

/// The pieces of markup without the order of attributes.
fn sorted(html: &str) -> Vec<String> {
    let mut pieces: Vec<_> = html.split([' ', '>', '<']).map(str::to_owned).collect();
    pieces.sort();
    pieces
}

#[tokio::test]
async fn without_scripts_there_is_the_drawing_and_the_table() -> Result<()> {
    let browser = Browser::start()?;
    let tab = browser
        .tab(&site()?.address(), LIGHT_NARROW.without_scripts())
        .await?;
    for (page, element) in PAGES {
        tab.open(page).await?;
        let shown = |what: &str| {
            format!(
                "return [...document.querySelectorAll('{what}')].filter((e) => e.checkVisibility()).length"
            )
        };
        let controls = tab
            .run(&shown(&format!("{element} :is(button, input, select)")))
            .await?;
        ensure!(controls == 0, "{page}: {controls} controls that do nothing");
        let result = tab
            .run(&shown(&format!("{element} :is(.said, .verdict)")))
            .await?;
        ensure!(result.as_u64() >= Some(1), "{page}: no result");
        let rows = tab.run(&shown(".sim .truth tbody tr")).await?;
        ensure!(rows.as_u64() >= Some(2), "{page}: {rows} rows of the table");
    }
    tab.close().await
}

#[tokio::test]
async fn nothing_moves_for_those_who_asked_for_that() -> Result<()> {
    let browser = Browser::start()?;
    let tab = browser.tab(&site()?.address(), LIGHT_WIDE).await?;
    tab.open("rabbitmq/fanout.html").await?;
    tab.wait_until(UPGRADED).await?;
    let moves = format!(
        "{HANDS} press('Publish'); return document.getAnimations().map((a) => a.effect.getTiming().duration)"
    );
    let still = tab.run(&moves).await?;
    ensure!(still == json!([]), "it moves: {still}");
    let motion =
        json!({ "features": [{ "name": "prefers-reduced-motion", "value": "no-preference" }] });
    tab.devtools("Emulation.setEmulatedMedia", motion).await?;
    let moving = tab.run(&moves).await?;
    let durations = moving.as_array().context("no list")?;
    ensure!(durations.len() == 3, "three copies move: {moving}");
    let is_short = |duration: &Value| duration.as_f64().is_some_and(|ms| ms <= 300.0);
    ensure!(durations.iter().all(is_short), "it takes long: {moving}");
    tab.close().await
}

/// What a hand does, and what is told then.
type Steps = &'static [(&'static str, &'static str)];

/// Each control does what it says, told in words.
#[tokio::test]
async fn what_a_hand_does_is_told() -> Result<()> {
    let browser = Browser::start()?;
    let tab = browser.tab(&site()?.address(), LIGHT_WIDE).await?;
    let steps: [(&str, &str, Steps); 7] = [
        (
            "rabbitmq/work-queues.html",
            "sim-acks",
            &[
                ("press('A: ack 1')", "A acks 1: it is gone"),
                ("press('Publish 7')", "7 is published"),
                ("press('Close the channel of B')", "goes back: 4"),
            ],
        ),
        (
            "kafka/retention.html",
            "sim-log",
            &[
                ("press('Append')", "is appended at offset 4"),
                (
                    "press('A day passes')",
                    "Offset 2 is deleted, with its segment",
                ),
                ("press('Read from offset 0')", "Offset 0 is not there"),
            ],
        ),
        (
            "compare/how-to-choose.html",
            "sim-choose",
            &[
                ("tick('on machines of ours, or elsewhere')", "Out are SQS"),
                (
                    "press('Open all questions')",
                    "No answer tells the systems apart",
                ),
            ],
        ),
        (
            "rabbitmq/topic.html",
            "sim-exchange",
            &[
                (
                    "type('Routing key', 'us.hr.hired')",
                    "1 of 3 queues gets a copy: hr-us",
                ),
                (
                    "press('Remove binding 3, hr-us')",
                    "dropped, and the broker confirms it all the same",
                ),
                (
                    "tick('mandatory: return what no queue gets')",
                    "The broker returns it|the broker returns it",
                ),
            ],
        ),
        (
            "kafka/consumer-groups.html",
            "sim-groups",
            &[
                ("press('Add member C')", "C joins"),
                ("press('Kill A')", "does not know yet"),
                ("press('Add member D')", "The rebalance waits for A"),
                ("press('45 s pass')", "A is out"),
            ],
        ),
        (
            "sqs/fifo.html",
            "sim-visibility",
            &[
                ("press('A: delete 1')", "A deletes 1"),
                ("press('Undo')", "B receives nothing: group g waits for 1"),
            ],
        ),
        (
            "sns/filters.html",
            "sim-filter",
            &[
                (
                    "type('Filter policy', '{\"store\": \"shop\"}')",
                    "the rules go in a list",
                ),
                (
                    "type('Filter policy', '{}')",
                    "An empty policy lets every message through",
                ),
            ],
        ),
    ];
    for (page, element, steps) in steps {
        tab.open(page).await?;
        tab.wait_until(UPGRADED).await?;
        for (action, says) in steps {
            tab.run(&format!("{HANDS} {action}"))
                .await
                .with_context(|| format!("{page}: {action}"))?;
            let one_of: Vec<_> = says.split('|').collect();
            let told = format!(
                "const said = document.querySelector('{element} > [role=status]').textContent; return {}.some((s) => said.includes(s))",
                Value::from(one_of)
            );
            tab.wait_until(&told)
                .await
                .with_context(|| format!("{page}: {action} is not told as {says}"))?;
        }
    }
    tab.close().await
}

const HANDS: &str = r#"
const all = (sel) => [...document.querySelectorAll(".sim " + sel)];
const press = (name) => all("button").find((b) => (b.getAttribute("aria-label") ?? b.textContent) === name).click();
const field = (name) => all("label").find((l) => (l.querySelector("span") ?? l).textContent.trim() === name).querySelector("input, textarea");
const type = (name, text) => { const f = field(name); f.focus(); f.value = text; f.dispatchEvent(new Event("input", { bubbles: true })); };
const tick = (name) => field(name).click();
"#;
