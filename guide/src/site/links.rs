//! Links between pages, to files and to anchors: each must lead somewhere.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::Path,
    sync::Arc,
};

use super::page::Outline;
use crate::{
    expand::heading_id,
    model::{address::Address, page::Page},
    text::problem::{Complaint, Problem, line_of},
};

/// The rendered pages by address, with every file of the site.
pub struct Links<'a> {
    /// Outlines by address.
    pub outlines: &'a BTreeMap<Address, Arc<Outline>>,
    /// Every file of the site.
    pub files: &'a BTreeSet<Address>,
}

impl Links<'_> {
    /// The links of a page that lead nowhere, what it may not load, and ids that it uses twice.
    pub fn check(
        &self,
        outline: &Outline,
        address: &Address,
        file: &Path,
        page: &Page,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        for link in &outline.links {
            if let Err(complaint) = self.resolve(address, link) {
                problems.push(complaint.at(file, line_of_link(page, link)));
            }
        }
        for what in &outline.forbidden {
            problems.push(forbidden(what).at(file, page.text.line_of(what)));
        }
        let mut seen = HashSet::new();
        for id in outline.ids.iter().filter(|id| !seen.insert(id.as_str())) {
            let message = format!("the id `{id}` stands twice on the page; rename one heading");
            problems.push(Problem::new(file, line_of_id(page, id), message));
        }
        problems
    }

    /// The same for a page that only leads to another one, of which `book.toml` says so.
    pub fn check_redirect(
        &self,
        address: &Address,
        outline: &Outline,
        root: &Path,
    ) -> Vec<Problem> {
        let wrong = outline.links.iter();
        let wrong = wrong.filter_map(|link| Some((link, self.resolve(address, link).err()?)));
        let settings = || fs::read_to_string(root.join("book.toml")).unwrap_or_default();
        wrong
            .map(|(link, complaint)| complaint.at("book.toml", line_of(&settings(), link)))
            .collect()
    }

    /// The files of the site that pages link to.
    pub fn targets(&self) -> BTreeSet<Address> {
        let pages = self.outlines.iter();
        let targets = pages.flat_map(|(address, outline)| {
            let links = outline.links.iter();
            links.filter_map(move |link| address.resolve(link).ok()?.map(|(file, _)| file))
        });
        targets.collect()
    }

    fn resolve(&self, address: &Address, link: &str) -> Result<(), Complaint> {
        let Some((file, fragment)) = address.resolve(link)? else {
            return Ok(());
        };
        if !self.files.contains(&file) {
            return Err(
                format!("dead link `{link}`: no such page or file; correct or remove it").into(),
            );
        }
        let outline = self.outlines.get(&file);
        // A link to a part of the page may hold the part's state.
        let fragment = fragment.split('?').next().unwrap_or_default().to_owned();
        let known = outline.is_none_or(|o| fragment.is_empty() || o.ids.contains(&fragment));
        match known {
            true => Ok(()),
            false => Err(format!(
                "dead link `{link}`: {file} has no `#{fragment}`; correct or remove it"
            )
            .into()),
        }
    }
}

/// The file of the site that a style sheet loads.
///
/// # Errors
/// A message for a target on another host, or that does not exist.
pub fn loaded(
    sheet: &Address,
    link: &str,
    files: &BTreeSet<Address>,
) -> Result<Address, Complaint> {
    match sheet.resolve(link)? {
        None => Err(forbidden(link)),
        Some((file, _)) if files.contains(&file) => Ok(file),
        Some((file, _)) => {
            Err(format!("`{link}`: the site has no {file}; correct or remove it").into())
        }
    }
}

fn forbidden(what: &str) -> Complaint {
    format!(
        "`{what}` is from another host or inline, which the site's policy forbids; use a file of the \
         book or the theme"
    )
    .into()
}

/// The line of a page's file on which a rendered link stands: that of the link in its Markdown, or of the
/// address in its HTML.
fn line_of_link(page: &Page, link: &str) -> usize {
    let is_it = |written: &str| written == link || written.replacen(".md", ".html", 1) == link;
    let mut links = page.reading.links.iter();
    match links.find(|(written, _)| is_it(written)) {
        Some((_, line)) => *line,
        None => page.text.line_of(link),
    }
}

/// The line of the last heading that gets this id, or of the last element that has it.
fn line_of_id(page: &Page, id: &str) -> usize {
    let headings = page.reading.headings.iter().rev();
    let mut headings = headings.filter(|heading| heading_id(&heading.text) == id);
    match headings.next() {
        Some(heading) => heading.line,
        None => {
            let text = &page.text.text;
            text.rfind(id).map_or(1, |offset| page.text.line_at(offset))
        }
    }
}
