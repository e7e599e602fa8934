//! Every page, light and dark, wide and narrow, in three fonts, with text twice as large: nothing in the
//! console, nothing from elsewhere, nothing for axe to find, nothing beyond the edge or its box, and
//! within the budget.
//!
//! A page is loaded once, as by a reader who opens it first: the window changes around it.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::browser::{
    Browser, DARK_NARROW, DARK_WIDE, FONTS, Font, LIGHT_NARROW, LIGHT_NARROWEST, LIGHT_WIDE,
    Request, Tab, View,
    axe::{Axe, Rules},
    root_of_site, site,
};

use crate::passed::{Cost, Passed, hash};

/// The budget: what a reader loads who opens a page first, compressed, with headers.
const HEAVIEST: u64 = 40_000;
const MEDIAN: u64 = 25_000;
const REQUESTS: usize = 5;
/// What a server sends before it hears from the reader again: ten segments. A page above it takes one
/// round trip more, 150 ms on a phone. It is compared compressed, with headers.
const FIRST_FLIGHT: u64 = 14_600;

/// Tabs side by side: each keeps a core busy.
const TABS: usize = 2;

/// What axe looks for in each scheme and width. The first is the view in which a page is loaded.
const VIEWS: [(View, Rules); 4] = [
    (LIGHT_WIDE, Rules::All),
    (DARK_WIDE, Rules::Colours),
    (DARK_NARROW, Rules::Colours),
    (LIGHT_NARROW, Rules::Narrow),
];

/// The views whose layout is looked at, in each font.
const LAYOUTS: [View; 6] = [
    LIGHT_WIDE,
    LIGHT_WIDE.with_large_text(),
    LIGHT_NARROW,
    LIGHT_NARROW.with_large_text(),
    LIGHT_NARROWEST,
    LIGHT_NARROWEST.with_large_text(),
];

const LAYOUT: &str = include_str!("layout.js");

/// Opens all that is folded.
const UNFOLD: &str = "
for (const folded of document.querySelectorAll('main details')) folded.open = true;
";

/// Whether the parts that a reader can touch have taken over.
const UPGRADED: &str =
    "return [...document.querySelectorAll('[data-start]')].every((part) => part.state)";

/// A page of the site and what the result of its walk depends on.
struct Page {
    address: String,
    hash: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_holds_in_each_scheme_width_and_font() -> Result<()> {
    let axe = Axe::get()?;
    let host = site()?.address();
    let folder = root_of_site()?;
    let pages = pages(&folder, &axe)?;
    let mut passed = Passed::load(&folder.with_file_name("passed.json"));
    let mut costs: Vec<(Cost, &str)> = Vec::new();
    let mut open: Vec<&Page> = Vec::new();
    for page in &pages {
        match passed.cost(page.hash) {
            Some(cost) => costs.push((cost, &page.address)),
            None => open.push(page),
        }
    }
    passed.tidy();
    let mut faults = Vec::new();
    if !open.is_empty() {
        let icon = icon(&folder)?;
        let passed = Mutex::new(passed);
        let walked = walk(&open, &axe, &host, icon, &passed).await?;
        for (page, (cost, of_page)) in open.iter().zip(walked) {
            costs.push((cost, &page.address));
            faults.extend(of_page);
        }
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    costs.sort();
    let median = median(&costs)?;
    let (heaviest, address) = costs[costs.len() - 1];
    println!(
        "{} pages, {} walked: {:.1} kB median, {:.1} kB heaviest ({address})",
        pages.len(),
        open.len(),
        median.bytes as f64 / 1e3,
        heaviest.bytes as f64 / 1e3,
    );
    Ok(())
}

/// The cost in the middle of sorted ones.
fn median(costs: &[(Cost, &str)]) -> Result<Cost> {
    let (median, _) = costs[costs.len() / 2];
    ensure!(
        median.bytes <= MEDIAN,
        "the median page has {} bytes, more than {MEDIAN}",
        median.bytes
    );
    Ok(median)
}

/// The pages of the site, by address.
fn pages(folder: &Path, axe: &Axe) -> Result<Vec<Page>> {
    let files = files_below(folder)?;
    let is = |file: &Path, extension: &str| file.extension().is_some_and(|e| e == extension);
    let mut shared = axe.version().into_bytes();
    // What is looked for may change too.
    shared.extend(include_bytes!("pages.rs"));
    shared.extend(LAYOUT.as_bytes());
    for font in FONTS {
        shared.extend(font.css().as_bytes());
    }
    for file in files
        .iter()
        .filter(|file| is(file, "css") || is(file, "js"))
    {
        shared.extend(fs::read(file)?);
    }
    let pages = files.iter().filter(|file| is(file, "html")).map(|file| {
        let text = fs::read_to_string(file)?;
        Ok(Page {
            address: file.strip_prefix(folder)?.to_string_lossy().into_owned(),
            hash: hash(&[text.as_bytes(), &shared]),
        })
    });
    let pages = pages.collect::<Result<Vec<_>>>()?;
    ensure!(!pages.is_empty(), "the site has no pages");
    Ok(pages)
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => files.extend(files_below(&path)?),
            false => files.push(path),
        }
    }
    files.sort();
    Ok(files)
}

/// The browser asks for the icon when it likes, so its weight is added to each page: that of its file,
/// which is more than what is sent.
fn icon(folder: &Path) -> Result<Cost> {
    let files = files_below(folder)?;
    let name = |file: &Path| {
        file.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let mut icons = files
        .iter()
        .filter(|file| is_icon(&name(file).unwrap_or_default()));
    let icon = icons.next().context("the site has no favicon")?;
    Ok(Cost {
        bytes: fs::metadata(icon)?.len(),
        requests: 1,
    })
}

fn is_icon(name: &str) -> bool {
    name.starts_with("favicon-")
}

/// Walks the pages in several tabs; cost and faults of each, in the order of the pages.
async fn walk(
    pages: &[&Page],
    axe: &Axe,
    host: &str,
    icon: Cost,
    passed: &Mutex<Passed>,
) -> Result<Vec<(Cost, Vec<String>)>> {
    let browser = Browser::start()?;
    let next = AtomicUsize::new(0);
    let walked = Mutex::new(vec![(Cost::default(), Vec::new()); pages.len()]);
    let tabs = (0..TABS).map(|_| async {
        let tab = browser.tab_with_fonts(host, LIGHT_WIDE).await?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(page) = pages.get(index) else {
                return tab.close().await;
            };
            let result = walk_page(&tab, page, axe, host, icon).await;
            let result = result.with_context(|| page.address.clone())?;
            // A fault is told when it is found: the others take a while.
            for fault in &result.1 {
                eprintln!("{fault}");
            }
            if result.1.is_empty() {
                // At once: a walk that is cut off goes on where it was.
                let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
                passed.add(page.hash, result.0);
                passed.save()?;
            }
            let mut walked = walked.lock().unwrap_or_else(PoisonError::into_inner);
            walked[index] = result;
        }
    });
    let results = futures::future::join_all(tabs).await;
    results.into_iter().collect::<Result<Vec<()>>>()?;
    Ok(walked.into_inner().unwrap_or_else(PoisonError::into_inner))
}

async fn walk_page(
    tab: &Tab,
    page: &Page,
    axe: &Axe,
    host: &str,
    icon: Cost,
) -> Result<(Cost, Vec<String>)> {
    tab.look(VIEWS[0].0).await?;
    // What an earlier page still loads is none of this one's.
    tab.open_blank().await?;
    tab.log().await?;
    tab.open(&page.address).await?;
    let (requests, mut faults) = inspect(tab, axe, host).await?;
    let cost = Cost {
        bytes: icon.bytes + requests.iter().map(|request| request.bytes).sum::<u64>(),
        requests: icon.requests + requests.len(),
    };
    faults.extend(over_budget(page, cost, &requests));
    let of_page = |fault| format!("{}, {fault}", page.address);
    Ok((cost, faults.into_iter().map(of_page).collect()))
}

fn over_budget(page: &Page, cost: Cost, requests: &[Request]) -> Vec<String> {
    let address = &page.address;
    let mut own = requests.iter().filter(|r| r.address.ends_with(address));
    let own = own.next().map_or(u64::MAX, |request| request.bytes);
    let requests = cost.requests as u64;
    let budget = [
        ("bytes in all", cost.bytes, HEAVIEST),
        ("requests", requests, REQUESTS as u64),
        ("bytes of the page itself", own, FIRST_FLIGHT),
    ];
    let over = budget.into_iter().filter(|(_, is, most)| is > most);
    over.map(|(what, is, most)| format!("{address}: {is} {what}, more than {most}"))
        .collect()
}

/// The requests of the page that has just been loaded in the first view, without that for the icon,
/// and what is wrong with it in any view.
async fn inspect(tab: &Tab, axe: &Axe, host: &str) -> Result<(Vec<Request>, Vec<String>)> {
    let mut faults = Vec::new();
    tab.wait_until(UPGRADED).await?;
    tab.run(UNFOLD).await?;
    for (view, rules) in VIEWS {
        tab.look(view).await?;
        let found = axe.violations_of(tab, rules).await?;
        faults.extend(found.iter().map(|fault| format!("{view}: {fault}")));
    }
    for view in LAYOUTS {
        tab.look(view).await?;
        let found = layout(tab).await?;
        faults.extend(found.iter().map(|fault| format!("{view}: {fault}")));
    }
    let log = tab.log().await?;
    let foreign = log.foreign(host).into_iter();
    faults.extend(foreign.map(|address| format!("asks for {address}")));
    faults.extend(log.complaints);
    let mut requests = log.requests;
    requests.retain(|request| !request.address.rsplit('/').next().is_some_and(is_icon));
    Ok((requests, faults))
}

/// What is wrong with the layout of the page as it is shown, in each font.
async fn layout(tab: &Tab) -> Result<Vec<String>> {
    let fonts = FONTS.into_iter().map(Font::to_json).collect();
    let found = tab.run_with(LAYOUT, vec![Value::Array(fonts)]).await?;
    let found = found.as_array().context("the layout gives no list")?;
    Ok(found
        .iter()
        .map(|fault| fault.as_str().unwrap_or_default().to_owned())
        .collect())
}

/// A page with one fault of each kind, each found in the views where it shows and in no other; and a
/// page without our policy that asks another host.
#[tokio::test]
async fn each_kind_of_fault_is_found() -> Result<()> {
    let (axe, host) = (Axe::get()?, site()?.address());
    let browser = Browser::start()?;
    let tab = browser.tab_with_fonts(&host, LIGHT_WIDE).await?;
    tab.open("compare/how-to-choose.html").await?;
    tab.run(include_str!("faults.js")).await?;
    let (_, faults) = inspect(&tab, &axe, &host).await?;
    for (kind, views) in FAULTS {
        let found = faults.iter().filter(|fault| fault.contains(kind));
        let found: Vec<_> = found.map(String::as_str).collect();
        let is_of = |fault: &str, views: &[&str]| views.iter().any(|view| fault.starts_with(view));
        for view in views {
            ensure!(
                found.iter().any(|fault| is_of(fault, &[view])),
                "{kind} is not found in {view}: {faults:#?}"
            );
        }
        let elsewhere = found.iter().find(|fault| !is_of(fault, views));
        ensure!(elsewhere.is_none(), "{kind} is found in {elsewhere:?}");
    }
    tab.open_blank().await?;
    let elsewhere = format!("http://{}/x.png", closed_address()?);
    tab.run(&format!(
        "document.body.innerHTML = '<img alt=\"\" src=\"{elsewhere}\">'"
    ))
    .await?;
    tab.wait_until("return document.images[0].complete").await?;
    let log = tab.log().await?;
    ensure!(log.foreign(&host) == [elsewhere.as_str()], "{log:?}");
    tab.close().await
}

/// What is said of each fault of `faults.js`, and how the places begin where it is.
const FAULTS: [(&str, &[&str]); 15] = [
    ("link-name", &["light, 1280 px"]),
    ("image-alt", &["light, 1280 px"]),
    ("look here", &["WARNING"]),
    ("Content Security Policy", &["SEVERE"]),
    (
        "id=\"pale-in-the-dark\"",
        &["dark, 1280 px", "dark, 360 px"],
    ),
    ("id=\"small-on-a-phone\"", &["light, 360 px"]),
    ("<div.always-wide>", &["light, "]),
    ("<div.wide-at-320>", &["light, 320 px"]),
    (
        "<div.wide-in-dejavu>",
        &[
            "light, 320 px: DejaVu",
            "light, 320 px, text at 200 %: DejaVu",
        ],
    ),
    (
        "<div.wide-with-large-text>",
        &[
            "light, 360 px, text at 200 %",
            "light, 320 px, text at 200 %",
        ],
    ),
    ("<p.beyond-its-box>", &["light, "]),
    (
        "\"Kafka and much more, far beyond the edge of it all\" stands",
        &["light, "],
    ),
    (
        "\"yes, and quite a lot of others\" crosses a path",
        &["light, "],
    ),
    ("the bar shows", &["light, 360 px", "light, 320 px"]),
    (
        "touches",
        &[
            "light, 360 px",
            "light, 320 px",
            "light, 1280 px, text at 200 %",
        ],
    ),
];

/// An address of this machine where nothing listens.
fn closed_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

#[test]
fn what_is_over_the_budget_is_named() {
    let page = Page {
        address: "a.html".to_owned(),
        hash: 0,
    };
    let request = |bytes| Request {
        address: "http://x/a.html".to_owned(),
        bytes,
    };
    let over = |bytes, requests, own| over_budget(&page, Cost { bytes, requests }, &[request(own)]);
    assert!(over(HEAVIEST, REQUESTS, FIRST_FLIGHT).is_empty());
    assert_eq!(over(HEAVIEST + 1, REQUESTS + 1, FIRST_FLIGHT + 1).len(), 3);
    let cost = |bytes| (Cost { bytes, requests: 1 }, "a.html");
    assert!(median(&[cost(1), cost(MEDIAN), cost(HEAVIEST)]).is_ok());
    assert!(median(&[cost(1), cost(MEDIAN + 1), cost(HEAVIEST)]).is_err());
}
