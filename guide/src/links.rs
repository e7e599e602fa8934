//! Links between pages, to files and to anchors: each must lead somewhere.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
    sync::Arc,
};

use crate::{
    errors::{Problem, line_of},
    page::Outline,
};

/// The rendered pages by address, with the file each was made from.
pub struct Links<'a> {
    /// Outlines by address.
    pub outlines: &'a BTreeMap<String, Arc<Outline>>,
    /// Every file of the site, relative to its root.
    pub files: &'a BTreeSet<String>,
}

/// A page's source, for the line of a dead link.
pub struct Origin<'a> {
    /// The Markdown file, relative to the project's root.
    pub file: &'a Path,
    /// Its text.
    pub text: &'a str,
}

impl Links<'_> {
    /// The links of a page that lead nowhere, what it may not load, and ids that it uses twice.
    pub fn check(&self, address: &str, outline: &Outline, origin: &Origin<'_>) -> Vec<Problem> {
        let mut problems = Vec::new();
        for link in &outline.links {
            if let Err(message) = self.resolve(address, link) {
                let line = line_of_link(origin.text, link);
                problems.push(Problem::new(origin.file, line, message));
            }
        }
        for what in &outline.forbidden {
            let line = line_of(origin.text, what);
            problems.push(Problem::new(origin.file, line, forbidden(what)));
        }
        let mut seen = HashSet::new();
        for id in outline.ids.iter().filter(|id| !seen.insert(id.as_str())) {
            let message = format!("the id `{id}` stands twice on the page; rename one heading");
            problems.push(Problem::new(
                origin.file,
                line_of_id(origin.text, id),
                message,
            ));
        }
        problems
    }

    /// The files of the site that pages link to.
    pub fn targets(&self) -> BTreeSet<String> {
        let pages = self.outlines.iter();
        let targets = pages.flat_map(|(address, outline)| {
            let links = outline.links.iter();
            links.filter_map(move |link| target(address, link).ok()?.map(|(file, _)| file))
        });
        targets.collect()
    }

    fn resolve(&self, address: &str, link: &str) -> Result<(), String> {
        let Some((file, fragment)) = target(address, link)? else {
            return Ok(());
        };
        if !self.files.contains(&file) {
            return Err(format!(
                "dead link `{link}`: no such page or file; correct or remove it"
            ));
        }
        let outline = self.outlines.get(&file);
        // A link to a part of the page may hold the part's state.
        let fragment = fragment.split('?').next().unwrap_or_default().to_owned();
        let known = outline.is_none_or(|o| fragment.is_empty() || o.ids.contains(&fragment));
        match known {
            true => Ok(()),
            false => Err(format!(
                "dead link `{link}`: {file} has no `#{fragment}`; correct or remove it"
            )),
        }
    }
}

/// File and fragment that a link of a page leads to; nothing for another site.
pub fn target(address: &str, link: &str) -> Result<Option<(String, String)>, String> {
    if is_elsewhere(link) {
        return Ok(None);
    }
    if link.starts_with('/') {
        return Err(format!(
            "the link `{link}` begins at the host; write it from this page"
        ));
    }
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    let path = path.split('?').next().unwrap_or_default();
    let mut parts: Vec<&str> = address.split('/').collect();
    if !path.is_empty() {
        parts.pop();
    }
    for part in path
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
    {
        match part {
            ".." if parts.pop().is_none() => {
                return Err(format!(
                    "the link `{link}` leaves the guide; write the full address"
                ));
            }
            ".." => {}
            part => parts.push(part),
        }
    }
    let mut file = parts.join("/");
    if path.ends_with('/') {
        file += "/index.html";
    }
    let decode = |text: &str| text.replace("%20", " ");
    Ok(Some((decode(&file), decode(fragment))))
}

/// Whether an address leaves the site, or is no file at all: `https:`, `//host`, `mailto:`, `data:`.
pub fn is_elsewhere(link: &str) -> bool {
    let scheme = link.split_once(':').map(|(scheme, _)| scheme.trim());
    link.trim().starts_with("//")
        || scheme.is_some_and(|s| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// The file of the site that a style sheet loads.
///
/// # Errors
/// A message for a target on another host, or that does not exist.
pub fn loaded(sheet: &str, link: &str, files: &BTreeSet<String>) -> Result<String, String> {
    match target(sheet, link)? {
        None => Err(forbidden(link)),
        Some((file, _)) if files.contains(&file) => Ok(file),
        Some((file, _)) => Err(format!(
            "`{link}`: the site has no {file}; correct or remove it"
        )),
    }
}

fn forbidden(what: &str) -> String {
    format!(
        "`{what}` is from another host or inline, which the site's policy forbids; use a file of the \
         book or the theme"
    )
}

/// The line of the source on which a rendered link stands.
fn line_of_link(text: &str, link: &str) -> usize {
    let markdown = link.replacen(".html", ".md", 1);
    let written = [
        format!("({markdown}"),
        format!("({link}"),
        markdown,
        link.to_owned(),
    ];
    let found = written
        .iter()
        .find(|written| text.contains(written.as_str()));
    found.map_or(1, |written| line_of(text, written))
}

/// The line of the last heading that would get this id.
fn line_of_id(text: &str, id: &str) -> usize {
    let words = id.replace('-', " ");
    let matches = |line: &str| {
        let heading = line.starts_with('#') || line.contains(id);
        heading && line.to_lowercase().contains(&words) || line.contains(id)
    };
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| matches(line))
        .last()
        .map_or(1, |(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_relative_to_the_page() {
        let to = |link| target("kafka/produce.html", link).unwrap();
        let file = |file: &str, id: &str| Some((file.to_owned(), id.to_owned()));
        assert_eq!(to("consume.html#a"), file("kafka/consume.html", "a"));
        assert_eq!(to("../index.html"), file("index.html", ""));
        assert_eq!(to("#here"), file("kafka/produce.html", "here"));
        assert_eq!(to("https://example.org/x"), None);
        assert!(target("index.html", "../x").is_err());
        assert!(target("index.html", "/x").is_err());
    }
}
