//! `book.toml`: what mdBook reads, checked more strictly than mdBook does.

use std::{fs, path::Path};

use anyhow::Result;
use mdbook_driver::config::{Config, HtmlConfig};
use pulldown_cmark::Options;
use serde::{Deserialize, de::IgnoredAny};

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

/// Reads and checks `book.toml` in `root`.
///
/// # Errors
/// [`Problems`] for a file that cannot be read, an unknown key, and an output or preprocessor that the
/// guide does not run.
pub fn load(root: &Path) -> Result<Config> {
    let text = fs::read_to_string(root.join(FILE))
        .map_err(|e| Problem::new(FILE, 1, format!("cannot read it: {e}; run in the project")))
        .map_err(Problems::from)?;
    let tables: Tables = toml::from_str(&text).map_err(|e| unreadable(&text, &e))?;
    let mut config: Config = toml::from_str(&text).map_err(|e| unreadable(&text, &e))?;
    Problems::check(wrong_repository(&text, tables.output.html.as_ref()))?;
    config.build.create_missing = false;
    Ok(config)
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

fn wrong_repository(text: &str, html: Option<&HtmlConfig>) -> Vec<Problem> {
    let address = html.and_then(|html| html.git_repository_url.as_deref());
    let wrong = address.filter(|address| !address.starts_with("https://"));
    let problem = |address| {
        let message = format!("git-repository-url `{address}` is no https:// address; correct it");
        Problem::new(FILE, line_of(text, "git-repository-url"), message)
    };
    wrong.map(problem).into_iter().collect()
}
