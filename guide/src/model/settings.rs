//! `book.toml`: what mdBook reads, checked more strictly than mdBook does.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use mdbook_driver::config::{Config, HtmlConfig};
use pulldown_cmark::Options;
use serde::{Deserialize, de::IgnoredAny};
use toml::de::{DeTable, DeValue};

use super::page::Page;

use crate::text::{
    markdown,
    problem::{Problem, Problems, line_at, line_of},
};

const FILE: &str = "book.toml";

/// The tables of `book.toml` that mdBook would read without complaining about an unknown key.
#[derive(Default, Deserialize)]
struct Tables {
    #[serde(default)]
    output: Output,
    #[serde(default, rename = "preprocessor")]
    _preprocessors: Preprocessors,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    html: Option<HtmlConfig>,
}

/// The preprocessors that the guide runs, and what each may be told. The keys that mdBook reads come
/// first.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(dead_code, reason = "only the names of the keys are checked")]
struct Preprocessors {
    guide: Guide,
    admonish: Admonish,
    links: IgnoredAny,
    index: IgnoredAny,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(dead_code, reason = "only the names of the keys are checked")]
struct Guide {
    command: IgnoredAny,
    before: IgnoredAny,
    after: IgnoredAny,
    renderers: IgnoredAny,
    optional: IgnoredAny,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(dead_code, reason = "only the names of the keys are checked")]
struct Admonish {
    command: IgnoredAny,
    before: IgnoredAny,
    after: IgnoredAny,
    renderers: IgnoredAny,
    optional: IgnoredAny,
    on_failure: IgnoredAny,
    default: IgnoredAny,
    renderer: IgnoredAny,
    assets_version: IgnoredAny,
    directive: IgnoredAny,
}

/// What becomes of a key that mdBook documents.
enum Rule {
    /// It does what mdBook says.
    Obeyed,
    /// Only some values, written as TOML, are taken, for a reason.
    Only(&'static [&'static str], &'static str),
    /// It is not taken, for a reason.
    Refused(&'static str),
}

use Rule::{Obeyed, Only, Refused};

const NO_SCRIPT: &str = "pages run no code";
const SCHEME: &str = "the theme follows the reader's system, light or dark";
const SEARCH: &str = "the guide has a search of its own";
const FOLD: &str = "the navigation shows the pages of the reader's part";

/// Every key of `book.toml` that mdBook documents. `*` stands for any name, and at the end for all below.
const KEYS: [(&str, Rule); 49] = [
    ("book.title", Obeyed),
    // mdBook's pages do not show it.
    ("book.authors", Obeyed),
    ("book.description", Obeyed),
    ("book.src", Obeyed),
    ("book.language", Obeyed),
    (
        "book.text-direction",
        Only(&["ltr"], "the theme is written from left to right"),
    ),
    (
        "build.build-dir",
        Only(
            &["target/site"],
            "the guide writes the site there and nowhere else",
        ),
    ),
    (
        "build.create-missing",
        Only(&["false"], "a page without a file is a mistake"),
    ),
    (
        "build.use-default-preprocessors",
        Only(&["true"], "the guide expands what mdBook expands"),
    ),
    (
        "build.extra-watch-dirs",
        Only(&["[]"], "the guide watches every file that a page includes"),
    ),
    // It says how mdBook's playground compiles, and there is none.
    ("rust.edition", Obeyed),
    ("output.html.theme", Obeyed),
    ("output.html.default-theme", Refused(SCHEME)),
    ("output.html.preferred-dark-theme", Refused(SCHEME)),
    ("output.html.smart-punctuation", Obeyed),
    ("output.html.definition-lists", Obeyed),
    ("output.html.admonitions", Obeyed),
    ("output.html.mathjax-support", Only(&["false"], NO_SCRIPT)),
    ("output.html.additional-css", Obeyed),
    ("output.html.additional-js", Obeyed),
    ("output.html.fold.enable", Refused(FOLD)),
    ("output.html.fold.level", Refused(FOLD)),
    (
        "output.html.playground.editable",
        Only(&["false"], NO_SCRIPT),
    ),
    (
        "output.html.playground.copyable",
        Only(&["false"], "panels have buttons that copy a whole file"),
    ),
    (
        "output.html.playground.copy-js",
        Only(&["false"], NO_SCRIPT),
    ),
    (
        "output.html.playground.line-numbers",
        Only(&["false"], NO_SCRIPT),
    ),
    (
        "output.html.playground.runnable",
        Only(&["false"], NO_SCRIPT),
    ),
    ("output.html.code.hidelines.*", Obeyed),
    (
        "output.html.print.enable",
        Only(&["false"], "`build --all` makes a PDF and an EPUB"),
    ),
    (
        "output.html.print.page-break",
        Refused("`build --all` makes a PDF"),
    ),
    (
        "output.html.no-section-label",
        Only(&["true"], "the navigation has no numbers"),
    ),
    ("output.html.search.enable", Only(&["false"], SEARCH)),
    ("output.html.search.limit-results", Refused(SEARCH)),
    ("output.html.search.teaser-word-count", Refused(SEARCH)),
    ("output.html.search.use-boolean-and", Refused(SEARCH)),
    ("output.html.search.boost-title", Refused(SEARCH)),
    ("output.html.search.boost-hierarchy", Refused(SEARCH)),
    ("output.html.search.boost-paragraph", Refused(SEARCH)),
    ("output.html.search.expand", Refused(SEARCH)),
    ("output.html.search.heading-split-level", Refused(SEARCH)),
    ("output.html.search.copy-js", Refused(SEARCH)),
    ("output.html.search.chapter.*", Refused(SEARCH)),
    ("output.html.git-repository-url", Obeyed),
    (
        "output.html.git-repository-icon",
        Refused("the theme says it in words"),
    ),
    (
        "output.html.input-404",
        Only(
            &[""],
            "the site has a page of its own for an address that does not exist",
        ),
    ),
    ("output.html.site-url", Obeyed),
    ("output.html.cname", Obeyed),
    ("output.html.edit-url-template", Obeyed),
    ("output.html.redirect.*", Obeyed),
];

/// The same for keys that mdBook hands to others, or that change nothing that a reader sees.
const OTHER_KEYS: [(&str, Rule); 6] = [
    ("output.html.hash-files", Obeyed),
    (
        "output.html.sidebar-header-nav",
        Refused("each page has links to its sections"),
    ),
    (
        "output.html.live-reload-endpoint",
        Refused("a server sets it"),
    ),
    // Checked by their own tables.
    ("preprocessor.guide.*", Obeyed),
    ("preprocessor.admonish.*", Obeyed),
    (
        "preprocessor.*",
        Refused("the guide expands what mdBook's own preprocessors expand"),
    ),
];

/// Reads and checks `book.toml` in `root`.
///
/// # Errors
/// [`Problems`] for a file that cannot be read, an unknown key, a key that the guide does not obey, and an
/// output or preprocessor that it does not run.
pub fn load(root: &Path) -> Result<Config> {
    let text = fs::read_to_string(root.join(FILE))
        .map_err(|e| Problem::new(FILE, 1, format!("cannot read it: {e}; run in the project")))
        .map_err(Problems::from)?;
    let tables: Tables = toml::from_str(&text).map_err(|e| unreadable(&text, &e))?;
    let mut config: Config = toml::from_str(&text).map_err(|e| unreadable(&text, &e))?;
    let mut problems = wrong_addresses(&text, tables.output.html.as_ref());
    problems.extend(wrong_keys(&text));
    problems.extend(missing_files(root, &text, &config));
    Problems::check(problems)?;
    config.build.create_missing = false;
    Ok(config)
}

/// The keys that the guide does not obey.
fn wrong_keys(text: &str) -> Vec<Problem> {
    let Ok(document) = DeTable::parse(text) else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    visit(document.get_ref(), "", &mut |key, value, offset| {
        let rule = KEYS
            .iter()
            .chain(&OTHER_KEYS)
            .find(|(name, _)| is_of(name, key));
        let why = match rule.map(|(_, rule)| rule) {
            Some(Obeyed) => return,
            Some(Only(values, _)) if values.contains(&value) => return,
            Some(Only(_, why) | Refused(why)) => *why,
            None => "the guide does not know it",
        };
        let message = format!("`{key} = {value}`: {why}; correct or remove it");
        problems.push(Problem::new(FILE, line_at(text, offset), message));
    });
    problems
}

/// Whether a key is meant by a name of the table.
fn is_of(name: &str, key: &str) -> bool {
    match name.strip_suffix('*') {
        Some(start) => key.starts_with(start),
        None => name == key,
    }
}

/// Visits every key that is no table, with its value and its place.
fn visit(table: &DeTable<'_>, path: &str, each: &mut dyn FnMut(&str, &str, usize)) {
    for (name, value) in table {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(table) => visit(table, &path, each),
            DeValue::String(text) => each(&path, text, name.span().start),
            DeValue::Boolean(is) => each(&path, &is.to_string(), name.span().start),
            DeValue::Integer(number) => each(&path, &number.to_string(), name.span().start),
            DeValue::Array(list) if list.is_empty() => each(&path, "[]", name.span().start),
            _ => each(&path, "…", name.span().start),
        }
    }
}

/// Files that the settings name and that are not there.
fn missing_files(root: &Path, text: &str, config: &Config) -> Vec<Problem> {
    // The theme may lie in the folder of the chapters, and then that is what is missing.
    if !root.join(&config.book.src).exists() {
        return Vec::new();
    }
    let html = config.html_config().unwrap_or_default();
    let files = html.theme.iter();
    let files = files.chain(&html.additional_css).chain(&html.additional_js);
    let missing = files.filter(|file| !root.join(file).exists());
    let problem = |file: &PathBuf| {
        let name = file.display().to_string();
        let message = format!("`{name}` does not exist; correct or remove it");
        Problem::new(FILE, line_of(text, &name), message)
    };
    missing.map(problem).collect()
}

/// Redirects that need a script, or that a page stands in the way of.
pub fn wrong_redirects(root: &Path, config: &Config, pages: &[Page]) -> Vec<Problem> {
    let html = config.html_config().unwrap_or_default();
    if html.redirect.is_empty() {
        return Vec::new();
    }
    let text = fs::read_to_string(root.join(FILE)).unwrap_or_default();
    let wrong = |from: &String| {
        let address = from.trim_start_matches('/');
        let message = match from.contains('#') {
            true => "pages redirect without a script, so no fragment can be redirected; remove it",
            false if pages.iter().any(|page| page.address.as_str() == address) => {
                "there is a page at this address; remove the redirect or the page"
            }
            false => return None,
        };
        let message = format!("redirect `{from}`: {message}");
        Some(Problem::new(FILE, line_of(&text, from), message))
    };
    html.redirect.keys().filter_map(wrong).collect()
}

/// The Markdown that pages are written in.
pub fn dialect(config: &Config) -> Options {
    let html = config.html_config().unwrap_or_default();
    markdown::dialect(
        html.smart_punctuation,
        html.definition_lists,
        html.admonitions,
    )
}

/// The address of the repository without a slash at its end, when it is set.
pub fn repository(config: &Config) -> Option<String> {
    let html = config.html_config()?;
    let address = html.git_repository_url?;
    Some(address.trim_end_matches('/').to_owned())
}

/// The address of the published site with a slash at its end, when it is set.
pub fn site(config: &Config) -> Option<String> {
    let site = config.html_config()?.site_url?;
    let site = Some(site).filter(|site| site.starts_with("https://"))?;
    Some(format!("{}/", site.trim_end_matches('/')))
}

/// The path of the site on its host, with slashes at both ends: `site-url` may be an address or a path.
pub fn base(config: &Config) -> String {
    let site = config.html_config().and_then(|html| html.site_url);
    let site = site.unwrap_or_default();
    let path = match site.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => &site,
    };
    match path.trim_matches('/') {
        "" => "/".to_owned(),
        path => format!("/{path}/"),
    }
}

fn unreadable(text: &str, error: &toml::de::Error) -> Problems {
    let line = error.span().map_or(1, |span| line_at(text, span.start));
    let message = format!("{}; correct or remove it", error.message());
    Problem::new(FILE, line, message).into()
}

/// Addresses that are none.
fn wrong_addresses(text: &str, html: Option<&HtmlConfig>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(html) = html else {
        return problems;
    };
    let mut check = |key: &str, value: Option<&str>, or_path: bool| {
        let is_right =
            |value: &&str| value.starts_with("https://") || or_path && value.starts_with('/');
        if let Some(value) = value.filter(|value| !is_right(value)) {
            let or = if or_path {
                " and no path that begins with a slash"
            } else {
                ""
            };
            let message = format!("{key} `{value}` is no https:// address{or}; correct it");
            problems.push(Problem::new(FILE, line_of(text, key), message));
        }
    };
    check(
        "git-repository-url",
        html.git_repository_url.as_deref(),
        false,
    );
    check("site-url", html.site_url.as_deref(), true);
    problems
}

#[cfg(test)]
mod tests {
    use mdbook_driver::config::{BookConfig, BuildConfig};
    use serde::Serialize;

    use super::*;

    /// The keys of a table as mdBook writes it when nothing is set.
    fn keys(path: &str, of: &impl Serialize) -> Vec<String> {
        let table = toml::Table::try_from(of).unwrap();
        let keys = table.into_iter().flat_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match &value {
                toml::Value::Table(table) if !table.is_empty() => keys(&path, table),
                _ => vec![path],
            }
        });
        keys.collect()
    }

    #[test]
    fn every_key_of_mdbook_is_obeyed_or_refused() {
        // What is not set is written only when it has a value.
        let html: HtmlConfig = toml::from_str("[search]\n").unwrap();
        let mut of_mdbook = keys("output.html", &html);
        of_mdbook.extend(keys("book", &BookConfig::default()));
        of_mdbook.extend(keys("build", &BuildConfig::default()));
        assert!(of_mdbook.len() > 35, "{of_mdbook:?}");
        for key in of_mdbook {
            let is_known = KEYS.iter().chain(&OTHER_KEYS).any(|(name, _)| {
                is_of(name, &key) || name.strip_suffix(".*") == Some(key.as_str())
            });
            assert!(is_known, "{key}");
        }
    }

    #[test]
    fn a_key_is_taken_or_named_with_its_line() {
        for (key, rule) in &KEYS {
            let (table, name) = key.trim_end_matches(".*").rsplit_once('.').unwrap();
            let text = |value: &str| match key.ends_with(".*") {
                true => format!("[{table}.{name}]\n\"x\" = {value}\n"),
                false => format!("\n[{table}]\n{name} = {value}\n"),
            };
            let said = wrong_keys(&text("\"something else\""));
            match rule {
                Obeyed => assert_eq!(said, [], "{key}"),
                Only(values, _) => {
                    assert_eq!(said.len(), 1, "{key}");
                    assert_eq!(said[0].line, 3, "{key}");
                    let plain = |value: &str| match value {
                        "true" | "false" | "[]" => value.to_owned(),
                        value => format!("{value:?}"),
                    };
                    assert_eq!(wrong_keys(&text(&plain(values[0]))), [], "{key}");
                }
                Refused(_) => assert_eq!(said.len(), 1, "{key}"),
            }
        }
    }
}
