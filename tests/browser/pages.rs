//! Every page, light and dark, wide and narrow: nothing in the console, nothing from elsewhere, nothing
//! for axe to find, nothing beyond the edge, and within the budget.

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
use tests::browser::{
    Browser, DARK_NARROW, DARK_WIDE, LIGHT_NARROW, LIGHT_WIDE, Request, Tab, View, axe::Axe,
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

/// How wide the page is and how wide it shows, once all that is folded is open.
const WIDTHS: &str = "
for (const folded of document.querySelectorAll('main details')) folded.open = true;
const page = document.documentElement;
return [page.scrollWidth, page.clientWidth];
";

/// A page of the site and what the result of its walk depends on.
struct Page {
    address: String,
    hash: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_holds_in_both_schemes_and_widths() -> Result<()> {
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
    let mut shared = axe.version().as_bytes().to_vec();
    // What is looked for may change too.
    shared.extend(include_bytes!("pages.rs"));
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
        let tab = browser.tab(host, LIGHT_WIDE).await?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(page) = pages.get(index) else {
                return tab.close().await;
            };
            let result = walk_page(&tab, page, axe, host, icon).await;
            let result = result.with_context(|| page.address.clone())?;
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
    let mut cost = Cost::default();
    let mut faults = Vec::new();
    for (light, dark) in [(LIGHT_WIDE, DARK_WIDE), (LIGHT_NARROW, DARK_NARROW)] {
        let (requests, found) = look(tab, page, light, axe, host).await?;
        if light == LIGHT_WIDE {
            cost.bytes = icon.bytes + requests.iter().map(|request| request.bytes).sum::<u64>();
            cost.requests = icon.requests + requests.len();
            faults.extend(over_budget(page, cost, &requests));
        }
        faults.extend(
            found
                .into_iter()
                .map(|fault| format!("{}, {light}: {fault}", page.address)),
        );
        tab.look(dark).await?;
        let mut found = axe.violations_of_colour(tab).await?;
        found.extend(tab.log().await?.complaints);
        faults.extend(
            found
                .into_iter()
                .map(|fault| format!("{}, {dark}: {fault}", page.address)),
        );
    }
    Ok((cost, faults))
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

/// The page in one view: its requests without that for the icon, and what is wrong.
async fn look(
    tab: &Tab,
    page: &Page,
    view: View,
    axe: &Axe,
    host: &str,
) -> Result<(Vec<Request>, Vec<String>)> {
    tab.look(view).await?;
    // What an earlier page still loads is none of this one's.
    tab.open_blank().await?;
    tab.log().await?;
    tab.open(&page.address).await?;
    inspect(tab, axe, host).await
}

/// The requests of the page that is open, without that for the icon, and what is wrong with it.
async fn inspect(tab: &Tab, axe: &Axe, host: &str) -> Result<(Vec<Request>, Vec<String>)> {
    let widths = tab.run(WIDTHS).await?;
    let mut faults = axe.violations(tab).await?;
    let log = tab.log().await?;
    if widths[0].as_u64() > widths[1].as_u64() {
        faults.push(format!("{} px wide where {} show", widths[0], widths[1]));
    }
    faults.extend(
        log.foreign(host)
            .into_iter()
            .map(|address| format!("asks for {address}")),
    );
    faults.extend(log.complaints.iter().cloned());
    let mut requests = log.requests;
    requests.retain(|request| !request.address.rsplit('/').next().is_some_and(is_icon));
    Ok((requests, faults))
}

/// A page with one fault of each kind, and a page without our policy that asks another host.
#[tokio::test]
async fn each_kind_of_fault_is_found() -> Result<()> {
    const FAULTS: &str = "
const wide = document.createElement('div');
wide.textContent = 'x'.repeat(500);
document.querySelector('main').append(wide);
wide.style.overflowWrap = 'normal';
wide.insertAdjacentHTML('afterend', '<img src=\"https://127.0.0.1:1/x.png\">');
document.querySelector('main p').innerHTML = '<a href=\"#x\"></a>';
console.warn('look here');
";
    let (axe, host) = (Axe::get()?, site()?.address());
    let browser = Browser::start()?;
    let tab = browser.tab(&host, LIGHT_WIDE).await?;
    tab.open("start/proofs.html").await?;
    tab.run(FAULTS).await?;
    let (_, faults) = inspect(&tab, &axe, &host).await?;
    for kind in [
        "link-name",
        "image-alt",
        "px wide where",
        "look here",
        "Content Security Policy",
    ] {
        ensure!(
            faults.iter().any(|fault| fault.contains(kind)),
            "{kind} is not found: {faults:#?}"
        );
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
