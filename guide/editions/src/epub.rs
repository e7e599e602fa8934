//! The guide as an EPUB: each page a chapter, each part a title of its own.

use std::{cell::RefCell, collections::BTreeSet, fs, io::Cursor, path::Path};

use anyhow::{Context, Result, anyhow};
use epub_builder::{EpubBuilder, EpubContent, EpubVersion, ReferenceType, ZipLibrary};
use mdbook_driver::config::BookConfig;

use super::{
    Leaf,
    document::{Document, Naming},
};
use guide::{Address, markup};

const STYLE: &str = include_str!("epub.css");

/// Writes the pages to `file`; pictures come from the site's `folder`.
///
/// # Errors
/// A picture can't be read or the file not be written.
pub fn write(
    file: &Path,
    folder: &Path,
    config: &BookConfig,
    pages: &[(&Leaf<'_>, &Document)],
) -> Result<()> {
    let made = make(folder, config, pages).context("cannot make the EPUB")?;
    fs::write(file, made).with_context(|| format!("cannot write {}", file.display()))
}

fn make(folder: &Path, config: &BookConfig, pages: &[(&Leaf<'_>, &Document)]) -> Result<Vec<u8>> {
    let known: BTreeSet<&Address> = pages.iter().map(|(leaf, _)| leaf.address).collect();
    let wrong = |e: epub_builder::Error| anyhow!("{e}");
    let mut epub = EpubBuilder::new(ZipLibrary::new().map_err(wrong)?).map_err(wrong)?;
    epub.epub_version(EpubVersion::V30);
    let title = config.title.clone().unwrap_or_default();
    epub.metadata("title", &title).map_err(wrong)?;
    epub.metadata("lang", "en").map_err(wrong)?;
    epub.metadata(
        "description",
        config.description.clone().unwrap_or_default(),
    )
    .map_err(wrong)?;
    epub.metadata("toc_name", "Contents").map_err(wrong)?;
    epub.stylesheet(STYLE.as_bytes()).map_err(wrong)?;
    let mut part = None;
    let mut pictures = BTreeSet::new();
    // Drawings are files of their own: a page that holds one would have to be declared as such.
    let drawings = RefCell::new(Vec::<String>::new());
    for (number, (leaf, document)) in pages.iter().enumerate() {
        if leaf.part != part {
            part = leaf.part;
            let title = part.unwrap_or_default();
            let text = format!("<h1 class=\"part\">{}</h1>", markup::text(title));
            let name = format!("part-{number}.xhtml");
            let content = EpubContent::new(&name, bytes(chapter(title, "", "", &text)));
            let content = content.title(title).level(1);
            epub.add_content(content).map_err(wrong)?;
        }
        pictures.extend(document.pictures().into_iter().filter_map(|picture| {
            let (picture, _) = leaf.address.resolve(&picture).ok()??;
            Some(picture)
        }));
        let to_root = leaf.address.to_root();
        let naming = Naming {
            id: "",
            link: &|link| link_in(leaf.address, link, &known),
            picture: &|picture| Some(picture.to_owned()),
            drawing: &|svg| {
                let mut drawings = drawings.borrow_mut();
                let known = drawings.iter().position(|known| known == svg);
                let number = known.unwrap_or_else(|| {
                    drawings.push(svg.to_owned());
                    drawings.len() - 1
                });
                Some(format!("{to_root}drawings/{number}.svg"))
            },
            folded: true,
        };
        let class = leaf.system.map(|system| system.name()).unwrap_or_default();
        let text = chapter(leaf.name, &to_root, class, &document.text(&naming));
        let level = if part.is_some() { 2 } else { 1 };
        let kind = if number == 0 {
            ReferenceType::TitlePage
        } else {
            ReferenceType::Text
        };
        let content = EpubContent::new(renamed(leaf.address), bytes(text));
        let content = content.title(leaf.name).level(level).reftype(kind);
        epub.add_content(content).map_err(wrong)?;
    }
    for picture in pictures {
        let kind = kind_of(picture.name())?;
        let bytes = fs::read(folder.join(&picture)).with_context(|| picture.to_string())?;
        epub.add_resource(picture.as_str(), bytes.as_slice(), kind)
            .map_err(wrong)?;
    }
    for (number, drawing) in drawings.into_inner().iter().enumerate() {
        let name = format!("drawings/{number}.svg");
        epub.add_resource(name, drawing.as_bytes(), "image/svg+xml")
            .map_err(wrong)?;
    }
    let mut made = Vec::new();
    epub.generate(&mut made).map_err(wrong)?;
    Ok(made)
}

fn chapter(title: &str, to_root: &str, class: &str, text: &str) -> String {
    let title = markup::text(title);
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!DOCTYPE html>\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\"><head>\
         <title>{title}</title><link rel=\"stylesheet\" type=\"text/css\" href=\"{to_root}stylesheet.css\"/>\
         </head><body class=\"{class}\">{text}</body></html>"
    )
}

fn bytes(text: String) -> Cursor<Vec<u8>> {
    Cursor::new(text.into_bytes())
}

fn renamed(page: &Address) -> String {
    format!("{}.xhtml", page.as_str().trim_end_matches(".html"))
}

/// A link to a page that the book has, or elsewhere; not to a file of the site alone.
fn link_in(page: &Address, link: &str, known: &BTreeSet<&Address>) -> Option<String> {
    match page.resolve(link).ok()? {
        None => Some(link.to_owned()),
        Some((file, _)) if known.contains(&file) => Some(link.replacen(".html", ".xhtml", 1)),
        Some(_) => None,
    }
}

fn kind_of(picture: &str) -> Result<&'static str> {
    match picture.rsplit('.').next().unwrap_or_default() {
        "png" => Ok("image/png"),
        "jpg" => Ok("image/jpeg"),
        "svg" => Ok("image/svg+xml"),
        _ => Err(anyhow!(
            "the EPUB cannot hold {picture}; use PNG, JPEG or SVG"
        )),
    }
}
