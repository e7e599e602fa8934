//! How good the search is: a set of queries with the pages that answer them, in two halves. The search is
//! improved by the first half only; what it reaches on the second is what a reader can expect.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use guide_search::{Content, Page};
use serde::Deserialize;
use serde_json::json;

use crate::{build, site::search, text::terminal::say};

const QUERIES: &str = include_str!("../../search/queries.tsv");
const SCRIPT: &str = include_str!("search_quality.mjs");

/// What a reader types, with the pages that answer.
#[derive(Debug)]
pub struct Query {
    /// As it is typed.
    pub text: &'static str,
    /// Addresses without `.html`: one of them should come first.
    pub answers: Vec<&'static str>,
}

impl Query {
    /// Whether nobody looks at what it finds while the search is improved: decided by a hash of it (FNV-1a).
    pub fn is_held_back(&self) -> bool {
        let hash = self
            .text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        (hash >> 32) & 1 == 1
    }

    /// The place of the first right page among those that were found, from 1.
    pub fn rank(&self, found: &[String]) -> Option<usize> {
        let is_right = |page: &String| self.answers.contains(&page.as_str());
        Some(found.iter().position(is_right)? + 1)
    }
}

/// All queries of the set.
pub fn queries() -> Vec<Query> {
    let lines = QUERIES.lines().filter(|line| !line.starts_with('#'));
    let query = |line: &'static str| {
        let (text, answers) = line.split_once('\t')?;
        Some(Query {
            text,
            answers: answers.split_whitespace().collect(),
        })
    };
    lines.filter_map(query).collect()
}

/// How well some queries were answered.
#[derive(Debug, Clone, Copy)]
pub struct Score {
    /// How many queries.
    pub queries: usize,
    /// The mean of 1 divided by the rank of the first right page, 0 when there is none.
    pub reciprocal: f64,
    /// How many found a right page first.
    pub first: usize,
    /// How many found one among the first three.
    pub in_three: usize,
}

impl Score {
    /// Of the ranks of queries.
    pub fn of(ranks: impl IntoIterator<Item = Option<usize>>) -> Self {
        let ranks: Vec<_> = ranks.into_iter().collect();
        let within = |most: usize| {
            let ranks = ranks.iter().flatten();
            ranks.filter(|rank| **rank <= most).count()
        };
        let sum: f64 = ranks.iter().flatten().map(|rank| 1.0 / *rank as f64).sum();
        Self {
            queries: ranks.len(),
            reciprocal: sum / ranks.len().max(1) as f64,
            first: within(1),
            in_three: within(3),
        }
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |count: usize| 100.0 * count as f64 / self.queries.max(1) as f64;
        write!(
            f,
            "{:>7} {:>8.3} {:>8.1} {:>10.1}",
            self.queries,
            self.reciprocal,
            share(self.first),
            share(self.in_three)
        )
    }
}

#[derive(Deserialize)]
struct Answers {
    found: Vec<Found>,
    tens: Vec<u64>,
}

#[derive(Deserialize)]
struct Found {
    pages: Vec<String>,
    bytes: u64,
    ms: f64,
}

/// What the command line asks for.
#[derive(Debug)]
pub struct Options {
    /// Whether other searches are asked, too.
    pub peers: bool,
    /// Whether the failures of the half that is held back are told.
    pub held_back: bool,
    /// Another file of queries.
    pub queries: Option<PathBuf>,
}

/// Builds the site of the project in `root`, asks its search all queries and prints how good it is.
///
/// # Errors
/// The book has problems; a program that is needed is missing or fails.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let folder = std::path::absolute(root.join("target/search-quality"))?;
    let site = folder.join("site");
    let built = build::build_into(root, &site)?;
    let start = Instant::now();
    let pages = index(&site, &folder.join("index"))?;
    let (index, all) = (start.elapsed().as_secs_f64(), built.took.as_secs_f64());
    say(&format!(
        "{pages} pages indexed in {index:.2} s by one thread; the site with its index took {all:.2} s by two"
    ));
    let queries = match &options.queries {
        Some(file) => from_file(file)?,
        None => queries(),
    };
    check(&queries, &site)?;
    let texts: Vec<_> = queries.iter().map(|query| query.text).collect();
    fs::write(folder.join("queries.json"), json!(texts).to_string())?;
    fs::write(folder.join("quality.mjs"), SCRIPT)?;

    say(
        "search     half       queries      MRR  first %  in three %   first query, kB  ten queries, kB  ms",
    );
    let ours = ask(&folder, "guide", &site)?;
    tell("guide", &queries, &ours);
    if options.peers {
        for (name, site) in [
            ("stock", stock(root, &folder)?),
            ("pagefind", pagefind(&folder, &site)?),
        ] {
            tell(name, &queries, &ask(&folder, name, &site)?);
        }
    }
    for (query, found) in queries.iter().zip(&ours.found) {
        let rank = query.rank(&found.pages);
        if rank != Some(1) && (options.held_back || !query.is_held_back()) {
            let rank = rank.map_or("none".to_owned(), |rank| rank.to_string());
            let first = found.pages.iter().take(3).cloned().collect::<Vec<_>>();
            say(&format!("{rank:>4}  {}: {}", query.text, first.join(" ")));
        }
    }
    Ok(())
}

/// Makes the index of the pages once more, to see what it takes; returns the number of pages.
fn index(site: &Path, folder: &Path) -> Result<usize> {
    let mut pages = Vec::new();
    for (address, html) in html_below(site, "")? {
        let content = Content::of(&html, "", "")?;
        pages.push(Page {
            address,
            part: String::new(),
            system: None,
            content: Arc::new(content),
        });
    }
    let number = pages.len();
    search::write(pages, folder)?;
    Ok(number)
}

fn html_below(folder: &Path, before: &str) -> Result<Vec<(String, String)>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder)?.filter_map(Result::ok) {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() {
            pages.extend(html_below(&path, &format!("{before}{name}/"))?);
        } else if name.ends_with(".html") {
            pages.push((format!("{before}{name}"), fs::read_to_string(path)?));
        }
    }
    Ok(pages)
}

fn from_file(file: &Path) -> Result<Vec<Query>> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    // As long as the program.
    let text: &'static str = text.leak();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let queries = lines
        .filter_map(|line| line.split_once('\t'))
        .map(|(text, answers)| Query {
            text,
            answers: answers.split_whitespace().collect(),
        });
    Ok(queries.collect())
}

/// A page that does not exist can't be found.
fn check(queries: &[Query], site: &Path) -> Result<()> {
    let answers: BTreeSet<&str> = queries
        .iter()
        .flat_map(|query| query.answers.clone())
        .collect();
    let is_gone = |page: &&str| !site.join(format!("{page}.html")).is_file();
    let gone: Vec<_> = answers.into_iter().filter(is_gone).collect();
    ensure!(
        gone.is_empty(),
        "queries.tsv names pages that do not exist: {}",
        gone.join(", ")
    );
    Ok(())
}

fn tell(name: &str, queries: &[Query], answers: &Answers) {
    for (half, is_held_back) in [("tuned", false), ("held back", true)] {
        let of_half = || {
            let both = queries.iter().zip(&answers.found);
            both.filter(move |(query, _)| query.is_held_back() == is_held_back)
        };
        let score = Score::of(of_half().map(|(query, found)| query.rank(&found.pages)));
        let kilobytes = |bytes: u64| bytes as f64 / 1000.0;
        let firsts = sorted(of_half().map(|(_, found)| kilobytes(found.bytes)));
        let tens = sorted(answers.tens.iter().map(|bytes| kilobytes(*bytes)));
        let times = sorted(of_half().map(|(_, found)| found.ms));
        say(&format!(
            "{name:<10} {half:<9} {score} {:>11.1}..{:<5.1} {:>7.1}..{:<5.1} {:>7.1}",
            median(&firsts),
            firsts.last().copied().unwrap_or_default(),
            median(&tens),
            tens.last().copied().unwrap_or_default(),
            median(&times)
        ));
    }
}

fn sorted(numbers: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    numbers
}

fn median(numbers: &[f64]) -> f64 {
    numbers.get(numbers.len() / 2).copied().unwrap_or_default()
}

/// Asks an engine in node.
fn ask(folder: &Path, engine: &str, site: &Path) -> Result<Answers> {
    let mut node = Command::new("node");
    node.arg(folder.join("quality.mjs"))
        .arg(folder.join("queries.json"))
        .arg(engine)
        .arg(site);
    let output = node.stdin(Stdio::null()).output();
    let output = output.context("cannot start node; install it: apt-get install nodejs")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("asking {engine} failed: {}", said.trim());
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{engine} answers no list"))
}

/// Pagefind over a copy of the site, without its own search.
fn pagefind(folder: &Path, site: &Path) -> Result<PathBuf> {
    let copy = folder.join("pagefind");
    let _ = fs::remove_dir_all(&copy);
    run_tool(
        folder,
        "cp",
        &["-r", &site.to_string_lossy(), &copy.to_string_lossy()],
    )?;
    npm(folder)?;
    run_tool(
        folder,
        "npx",
        &["pagefind", "--site", &copy.to_string_lossy()],
    )?;
    Ok(copy)
}

/// Stock mdBook over the Markdown twins of the pages.
fn stock(root: &Path, folder: &Path) -> Result<PathBuf> {
    let (site, book) = (folder.join("site"), folder.join("stock"));
    let _ = fs::remove_dir_all(&book);
    let source = root.join("book");
    let summary = fs::read_to_string(source.join("SUMMARY.md"))?;
    fs::create_dir_all(book.join("src"))?;
    fs::write(book.join("src/SUMMARY.md"), &summary)?;
    fs::write(book.join("book.toml"), "[book]\ntitle = \"x\"\n")?;
    for page in summary
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        let to = book.join("src").join(page);
        fs::create_dir_all(to.parent().unwrap_or(&book))?;
        fs::copy(site.join(page), to).with_context(|| format!("no Markdown twin of {page}"))?;
    }
    let own = folder.join("tools");
    if !own.join("bin/mdbook").is_file() {
        let own = own.to_string_lossy();
        let arguments = [
            "install",
            "--debug",
            "--locked",
            "--root",
            &own,
            "mdbook@0.5.4",
        ];
        run_tool(folder, "cargo", &arguments)?;
    }
    let mdbook = own.join("bin/mdbook");
    run_tool(
        folder,
        &mdbook.to_string_lossy(),
        &["build", &book.to_string_lossy()],
    )?;
    npm(folder)?;
    let built = book.join("book");
    let index =
        fs::read_dir(&built)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut index = index.filter(|name| name.starts_with("searchindex") && name.ends_with(".js"));
    let index = index.next().context("mdBook wrote no search index")?;
    fs::write(built.join("searchindex"), index)?;
    let elasticlunr = folder.join("node_modules/elasticlunr/elasticlunr.js");
    fs::copy(elasticlunr, built.join("elasticlunr.js"))?;
    Ok(built)
}

fn npm(folder: &Path) -> Result<()> {
    let packages = ["pagefind@1.6.0", "elasticlunr@0.9.5"];
    if folder.join("node_modules/elasticlunr").is_dir() {
        return Ok(());
    }
    let mut arguments = vec![
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--prefix",
        ".",
    ];
    arguments.extend(packages);
    run_tool(folder, "npm", &arguments)
}

fn run_tool(folder: &Path, name: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(name)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {name}; the peers need it"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} failed: {}", said.trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_has_two_halves_and_no_query_twice() {
        let queries = queries();
        let held_back = queries.iter().filter(|query| query.is_held_back()).count();
        assert!(queries.len() >= 200, "{}", queries.len());
        assert!(
            (100..queries.len() - 100).contains(&held_back),
            "{held_back}"
        );
        let texts: BTreeSet<_> = queries
            .iter()
            .map(|query| query.text.to_lowercase())
            .collect();
        assert_eq!(texts.len(), queries.len());
        assert!(queries.iter().all(|query| !query.answers.is_empty()));
    }

    #[test]
    fn a_score_counts_ranks() {
        let score = Score::of([Some(1), Some(4), None, Some(2)]);
        assert_eq!((score.first, score.in_three, score.queries), (1, 2, 4));
        assert!((score.reciprocal - 1.75 / 4.0).abs() < 1e-9);
    }
}
