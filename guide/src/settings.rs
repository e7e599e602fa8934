//! `book.toml`: what mdBook reads, checked more strictly than mdBook does.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Result;
use mdbook_driver::config::{Config, HtmlConfig};
use serde::Deserialize;

use crate::errors::{Problem, Problems, line_at, line_of};

const FILE: &str = "book.toml";

/// Keys that mdBook itself knows in the table of a preprocessor.
const PREPROCESSOR_KEYS: [&str; 5] = ["command", "before", "after", "renderers", "optional"];

/// The tables of `book.toml` that mdBook would read without complaining about an unknown key.
#[derive(Default, Deserialize)]
struct Tables {
    #[serde(default)]
    output: Output,
    #[serde(default)]
    preprocessor: BTreeMap<String, toml::Table>,
}

#[derive(Default, Deserialize)]
struct Output {
    html: Option<HtmlConfig>,
}

/// Reads and checks `book.toml` in `root`.
///
/// # Errors
/// [`Problems`] for a file that cannot be read, an unknown key and an unknown preprocessor.
pub fn load(root: &Path) -> Result<Config> {
    let text = fs::read_to_string(root.join(FILE))
        .map_err(|e| Problem::new(FILE, 1, format!("cannot read it: {e}; run in the project")))
        .map_err(Problems::from)?;
    let tables: Tables = toml::from_str(&text).map_err(|e| unreadable(&text, &e))?;
    let mut config: Config = toml::from_str(&text).map_err(|e| unreadable(&text, &e))?;
    Problems::check(unknown_preprocessors(&text, &tables))?;
    Problems::check(wrong_repository(&text, tables.output.html.as_ref()))?;
    config.build.create_missing = false;
    Ok(config)
}

/// The address of the repository without a slash at its end, when it is set.
pub fn repository(config: &Config) -> Option<String> {
    let html = config.html_config()?;
    let address = html.git_repository_url?;
    Some(address.trim_end_matches('/').to_owned())
}

fn unreadable(text: &str, error: &toml::de::Error) -> Problems {
    let line = error.span().map_or(1, |span| line_at(text, span.start));
    let message = format!("{}; correct or remove it", error.message());
    Problem::new(FILE, line, message).into()
}

fn unknown_preprocessors(text: &str, tables: &Tables) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, table) in &tables.preprocessor {
        let header = format!("[preprocessor.{name}");
        match name.as_str() {
            "guide" => {
                let unknown = table
                    .keys()
                    .filter(|k| !PREPROCESSOR_KEYS.contains(&k.as_str()));
                problems.extend(unknown.map(|key| {
                    let known = PREPROCESSOR_KEYS.join(", ");
                    let message =
                        format!("unknown key `{key}` in [preprocessor.guide]; known: {known}");
                    Problem::new(FILE, line_of_key(text, &header, key), message)
                }));
            }
            "admonish" | "links" | "index" => {}
            _ => problems.push(Problem::new(
                FILE,
                line_of(text, &header),
                format!(
                    "unknown preprocessor `{name}`; the guide runs guide and admonish, remove it"
                ),
            )),
        }
    }
    problems
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

fn line_of_key(text: &str, header: &str, key: &str) -> usize {
    let start = text.find(header).unwrap_or(0);
    let inside = &text[start..];
    let mut lines = inside.lines().enumerate();
    let found = lines.find(|(_, line)| line.trim_start().starts_with(key));
    line_at(text, start) + found.map_or(0, |(index, _)| index)
}
