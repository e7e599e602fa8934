//! `{{#drawing NAME … | caption}}`: drawings from `book/drawings`, inlined. Alone on its line it is a
//! figure; inside a line it is the drawing alone.

use std::fs;

use super::Format;
use crate::{
    model::book::Book,
    text::{markup, problem::Complaint},
};

/// The figure as HTML on one line. `caption` is inline Markdown with its marks expanded, or empty.
///
/// # Errors
/// A message that names the drawing that does not exist.
pub fn html(book: &Book, names: &[&str], caption: &str) -> Result<String, Complaint> {
    let drawings = names.iter().map(|name| svg(book, name));
    let drawings = drawings.collect::<Result<Vec<_>, _>>()?;
    let (class, drawings) = match drawings.as_slice() {
        [one] => ("fig wide", one.clone()),
        many => (
            "fig wide stack",
            format!(r#"<div class="trio">{}</div>"#, many.concat()),
        ),
    };
    let caption = match caption {
        "" => String::new(),
        caption => format!("<figcaption>{}</figcaption>", markup::inline(caption)),
    };
    Ok(format!(
        r#"<figure class="{class}">{drawings}{caption}</figure>"#
    ))
}

/// The drawings' titles and the caption as Markdown.
///
/// # Errors
/// A message that names the drawing that does not exist.
pub fn markdown(book: &Book, names: &[&str], caption: &str) -> Result<String, Complaint> {
    let mut text = String::new();
    for name in names {
        text += &format!("{}\n\n", in_words(&svg(book, name)?, name));
    }
    Ok(text + caption)
}

/// A drawing inside a line, which the page's own markup frames; as Markdown, what it shows.
///
/// # Errors
/// A message that names the drawing that does not exist.
pub fn inline(book: &Book, name: &str, format: Format) -> Result<String, Complaint> {
    let svg = svg(book, name)?;
    Ok(match format {
        Format::Html => svg,
        Format::Markdown => in_words(&svg, name),
    })
}

/// The title and the description of a drawing, for those who read text.
fn in_words(svg: &str, name: &str) -> String {
    let title = element(svg, "title").unwrap_or(name);
    match element(svg, "desc") {
        Some(description) => format!("*Drawing: {title}.* {description}."),
        None => format!("*Drawing: {title}.*"),
    }
}

fn svg(book: &Book, name: &str) -> Result<String, Complaint> {
    let file = book.source.join("drawings").join(format!("{name}.svg"));
    let svg = fs::read_to_string(book.root.join(&file))
        .map_err(|_| format!("no drawing {}; draw it or correct the name", file.display()))?;
    let svg = svg
        .trim()
        .replace('\n', " ")
        .replace(r#" xmlns="http://www.w3.org/2000/svg""#, "");
    match svg.starts_with("<svg") {
        true => Ok(svg),
        false => Err(format!(
            "{} does not begin with <svg; remove what is before it",
            file.display()
        )
        .into()),
    }
}

fn element<'a>(svg: &'a str, name: &str) -> Option<&'a str> {
    let after = svg.split_once(&format!("<{name}"))?.1.split_once('>')?.1;
    Some(
        after
            .split_once(&format!("</{name}>"))?
            .0
            .trim_end_matches('.'),
    )
}
