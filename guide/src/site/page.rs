//! The pass over a rendered page: what mdBook cannot know (description, system, versions, the
//! headings of the page) and what it does not write (roles of what scrolls).

use std::{borrow::Cow, cell::RefCell};

use anyhow::Result;
use lol_html::{
    ElementContentHandlers, RewriteStrSettings, Selector, element,
    html_content::{ContentType, Element},
    rewrite_str, text,
};

use super::{modules, navigation::Navigation, styles};
use crate::{
    model::{
        address::{self, Address, is_elsewhere},
        page::Page,
    },
    text::markup,
};

/// What a rendered page consists of.
#[derive(Debug, Default, Clone)]
pub struct Outline {
    /// The ids of its elements, in order.
    pub ids: Vec<String>,
    /// The targets of its links, images and scripts.
    pub links: Vec<String>,
    /// What the browser would load from another host, and scripts and styles inside the page: the
    /// site's policy forbids both.
    pub forbidden: Vec<String>,
    /// Id and text of each section.
    pub sections: Vec<(String, String)>,
    /// For each table and listing the heading that it stands under.
    pub places: Vec<String>,
    /// The columns of each table that Markdown made.
    pub tables: Vec<Vec<Column>>,
    /// Whether it only leads to another page.
    pub is_redirect: bool,
}

/// A column of a table.
#[derive(Debug, Default, Clone)]
pub struct Column {
    /// Its head, as HTML without tags.
    pub head: String,
    /// Whether it holds numbers.
    pub is_right: bool,
}

/// How a table is shown on a phone, where its columns would not fit side by side.
fn narrow_class(columns: &[Column]) -> Option<&'static str> {
    let numbers = columns.iter().filter(|column| column.is_right).count();
    match (columns.len(), numbers) {
        (3.., 0) => Some("rows"),
        (8, 7) => Some("counts"),
        _ => None,
    }
}

/// Where a page stands in the site.
pub struct Place<'a> {
    /// Its address.
    pub address: &'a Address,
    /// The page, whose address differs for the copy of the first one.
    pub page: &'a Page,
    /// When and with what its programs last ran; empty without programs.
    pub versions: &'a str,
    /// What stands beside it.
    pub navigation: &'a Navigation,
    /// Whether the site has cards, an EPUB and a PDF.
    pub has_editions: bool,
    /// The address of the site with a slash at its end, when it is known.
    pub site: Option<&'a str>,
    /// The path of the same host from which it is told to reload.
    pub live: Option<&'a str>,
    /// The modules that were renamed.
    pub modules: &'a modules::Names,
}

/// Tables and listings that scroll sideways.
const SCROLLING: &str = "main .table-wrapper, main pre:not([tabindex])";

/// Tables that Markdown made, and their heads: those of an interactive part have classes or scopes.
const TABLE: &str = "main .table-wrapper > table:not([class])";
const HEAD: &str = "main .table-wrapper > table:not([class]) thead th:not([scope])";
const ROW: &str = "main .table-wrapper > table:not([class]) tbody tr";
const CELL: &str = "main .table-wrapper > table:not([class]) tbody td";

/// Attributes of drawings that may hold `url(…)`.
const STYLING: [&str; 11] = [
    "clip-path",
    "cursor",
    "fill",
    "filter",
    "marker",
    "marker-end",
    "marker-mid",
    "marker-start",
    "mask",
    "stroke",
    "style",
];

/// What mdBook writes for an aligned column; it becomes a class.
const ALIGNMENT: &str = "text-align:";

/// Reads the ids, links and headings of a page.
///
/// # Errors
/// When the page cannot be parsed.
pub fn read_outline(html: &str) -> Result<Outline> {
    let outline = RefCell::new(Outline::default());
    let heading = RefCell::new(String::new());
    let handlers = vec![
        element!("[id]", |element| {
            let id = element.get_attribute("id").unwrap_or_default();
            outline.borrow_mut().ids.push(id);
            Ok(())
        }),
        element!("a[href], area[href]", |element| {
            let link = element.get_attribute("href").unwrap_or_default();
            outline.borrow_mut().links.push(link.replace("&amp;", "&"));
            Ok(())
        }),
        element!("*", |element| {
            let (elsewhere, here): (Vec<_>, Vec<_>) = loads(element)
                .into_iter()
                .partition(|target| is_elsewhere(target));
            let mut outline = outline.borrow_mut();
            outline.forbidden.extend(elsewhere);
            outline.links.extend(here);
            Ok(())
        }),
        element!("meta[http-equiv=refresh]", |_| {
            outline.borrow_mut().is_redirect = true;
            Ok(())
        }),
        element!(
            "script:not([src]), main style, main [style], main [onclick]",
            |element| {
                let style = element.get_attribute("style").unwrap_or_default();
                if !style.starts_with(ALIGNMENT) {
                    let inline = format!("<{}", element.tag_name());
                    outline.borrow_mut().forbidden.push(inline);
                }
                Ok(())
            }
        ),
        element!("main h1, main h2, main h3, main h4", |element| {
            heading.borrow_mut().clear();
            if element.tag_name() == "h2" {
                let id = element.get_attribute("id").unwrap_or_default();
                outline.borrow_mut().sections.push((id, String::new()));
            }
            Ok(())
        }),
        text!("main h1, main h2, main h3, main h4", |chunk| {
            heading.borrow_mut().push_str(chunk.as_str());
            Ok(())
        }),
        text!("main h2", |chunk| {
            if let Some((_, text)) = outline.borrow_mut().sections.last_mut() {
                text.push_str(chunk.as_str());
            }
            Ok(())
        }),
        element!(TABLE, |_| {
            outline.borrow_mut().tables.push(Vec::new());
            Ok(())
        }),
        element!(HEAD, |cell| {
            let style = cell.get_attribute("style").unwrap_or_default();
            let column = Column {
                is_right: style.contains("right"),
                ..Column::default()
            };
            if let Some(table) = outline.borrow_mut().tables.last_mut() {
                table.push(column);
            }
            Ok(())
        }),
        text!(HEAD, |chunk| {
            let mut outline = outline.borrow_mut();
            let column = outline.tables.last_mut().and_then(|table| table.last_mut());
            if let Some(column) = column {
                column.head.push_str(chunk.as_str());
            }
            Ok(())
        }),
        element!(SCROLLING, |_| {
            outline.borrow_mut().places.push(heading.borrow().clone());
            Ok(())
        }),
    ];
    rewrite_str(html, settings(handlers))?;
    Ok(outline.into_inner())
}

/// What an element makes the browser load. A canonical address and `#id` load nothing.
fn loads(element: &Element<'_, '_>) -> Vec<String> {
    let tag = element.tag_name();
    let is_canonical = element.get_attribute("rel").as_deref() == Some("canonical");
    let mut loads = Vec::new();
    for attribute in element.attributes() {
        let value = attribute.value().replace("&amp;", "&");
        match attribute.name().as_str() {
            "href" if tag == "link" && is_canonical => {}
            "href" if !["link", "image", "use"].contains(&tag.as_str()) => {}
            "data" if tag != "object" => {}
            "src" | "href" | "xlink:href" | "poster" | "data" => loads.push(value),
            "srcset" => loads.extend(candidates(&value)),
            name if STYLING.contains(&name) => {
                loads.extend(styles::loads(&value).into_iter().map(|(_, target)| target));
            }
            _ => {}
        }
    }
    loads.retain(|target| !target.starts_with('#'));
    loads
}

/// The addresses of `a.png, b.png 2x`.
fn candidates(srcset: &str) -> Vec<String> {
    let candidates = srcset.split(',');
    let addresses = candidates.filter_map(|one| one.split_whitespace().next());
    addresses.map(str::to_owned).collect()
}

/// A page that moved, with the full address of the page that it leads to.
///
/// # Errors
/// When the page cannot be parsed.
pub fn complete_redirect(html: &str, site: &str, address: &Address) -> Result<String> {
    let handlers = vec![element!("link[rel=canonical]", |link| {
        let target = link.get_attribute("href").unwrap_or_default();
        if let Ok(Some((file, _))) = address.resolve(&target) {
            link.set_attribute("href", &format!("{site}{file}"))?;
        }
        Ok(())
    })];
    Ok(rewrite_str(html, settings(handlers))?)
}

/// The page as it is published.
///
/// # Errors
/// When the page cannot be parsed.
pub fn complete(html: &str, outline: &Outline, place: &Place<'_>) -> Result<String> {
    let page = place.page;
    let to_root = place.address.to_root();
    let mut labels = unique(&outline.places).into_iter();
    let mut tables = outline.tables.iter();
    // The table that is written, and the cell of its row.
    let columns: RefCell<&[Column]> = RefCell::new(&[]);
    let column = RefCell::new(0);
    let handlers = vec![
        element!("html", |html| {
            if let Some(live) = place.live {
                html.set_attribute("data-live", live)?;
            }
            Ok(())
        }),
        element!("body", |body| {
            if let Some(system) = page.system() {
                body.set_attribute("class", system.name())?;
            }
            Ok(())
        }),
        element!("meta[name=description]", |meta| {
            meta.set_attribute("content", &markup::text(page.description()))?;
            Ok(())
        }),
        element!("head", |head| {
            let twin = place.address.twin();
            let twin = markup::attribute(twin.name());
            let link = format!("<link rel=\"alternate\" type=\"text/markdown\" href=\"{twin}\">\n");
            head.append(&link, ContentType::Html);
            if let Some(site) = place.site {
                head.append(&for_other_sites(place, site), ContentType::Html);
            }
            Ok(())
        }),
        element!("#nav", |nav| {
            nav.set_inner_content(
                &place.navigation.html(page.address.as_str(), &to_root),
                ContentType::Html,
            );
            Ok(())
        }),
        element!("main > header.head", |head| {
            head.append(&on_this_page(outline), ContentType::Html);
            Ok(())
        }),
        element!(".end > .foot", |foot| {
            if place.has_editions && page.is_first {
                let (epub, pdf) = (address::EPUB, address::PDF);
                let links = format!(
                    r#"<p>The whole guide as <a href="{to_root}{epub}">EPUB</a> and <a href="{to_root}{pdf}">PDF</a></p>"#
                );
                foot.append(&links, ContentType::Html);
            }
            if !place.versions.is_empty() {
                let versions = format!("<p>{}</p>", markup::text(place.versions));
                foot.prepend(&versions, ContentType::Html);
            }
            Ok(())
        }),
        element!(SCROLLING, |scrolling| {
            let kind = if scrolling.tag_name() == "pre" {
                "Listing"
            } else {
                "Table"
            };
            let place = labels.next().unwrap_or_default();
            let label = format!("{kind}: {place}");
            let label = label.trim_end_matches(": ");
            scrolling.set_attribute("tabindex", "0")?;
            scrolling.set_attribute("role", "region")?;
            scrolling.set_attribute("aria-label", label)?;
            Ok(())
        }),
        element!(TABLE, |table| {
            let of_table = tables.next().map_or(&[][..], Vec::as_slice);
            let class = narrow_class(of_table);
            if let Some(class) = class {
                table.set_attribute("class", class)?;
            }
            columns.replace(if class == Some("rows") { of_table } else { &[] });
            Ok(())
        }),
        element!(ROW, |_| {
            column.replace(0);
            Ok(())
        }),
        element!(CELL, |cell| {
            let number = column.replace_with(|number| *number + 1);
            if number > 0
                && let Some(column) = columns.borrow().get(number)
            {
                cell.set_attribute("data-s", &column.head)?;
            }
            Ok(())
        }),
        element!("main script[src], main link[href]", |module| {
            let name = if module.tag_name() == "link" {
                "href"
            } else {
                "src"
            };
            let address = module.get_attribute(name).unwrap_or_default();
            let plain = address.trim_start_matches("../");
            if let Some(renamed) = place.modules.get(plain) {
                let to_root = &address[..address.len() - plain.len()];
                module.set_attribute(name, &format!("{to_root}{renamed}"))?;
            }
            Ok(())
        }),
        // mdBook's image, which a style of its own theme opens on a click, stands there twice.
        element!("main label.checkbox-label", |label| {
            label.remove_and_keep_content();
            Ok(())
        }),
        element!("main input.checkbox-img, main span.img-wrapper", |copy| {
            copy.remove();
            Ok(())
        }),
        element!("main thead th:not([scope])", |cell| {
            cell.set_attribute("scope", "col")?;
            Ok(())
        }),
        element!("main [style]", |element| {
            let style = element.get_attribute("style").unwrap_or_default();
            if let Some(side) = style.strip_prefix(ALIGNMENT) {
                element.remove_attribute("style");
                element.set_attribute("class", side.trim())?;
            }
            Ok(())
        }),
    ];
    Ok(rewrite_str(html, settings(handlers))?)
}

/// What search engines and sites that link to the page ask for; it needs full addresses.
fn for_other_sites(place: &Place<'_>, site: &str) -> String {
    let address = markup::attribute(&format!("{site}{}", place.address));
    let (name, description) = (
        markup::attribute(&place.page.name),
        markup::attribute(place.page.description()),
    );
    let mut head = format!(
        "<link rel=\"canonical\" href=\"{address}\">\n\
         <meta property=\"og:type\" content=\"article\">\n\
         <meta property=\"og:title\" content=\"{name}\">\n\
         <meta property=\"og:description\" content=\"{description}\">\n\
         <meta property=\"og:url\" content=\"{address}\">\n"
    );
    if place.has_editions {
        let card = markup::attribute(&format!("{site}{}", place.page.address.card()));
        head += &format!(
            "<meta property=\"og:image\" content=\"{card}\">\n\
             <meta name=\"twitter:card\" content=\"summary_large_image\">\n"
        );
    }
    head
}

type Handler<'h> = (Cow<'static, Selector>, ElementContentHandlers<'h>);

fn settings(handlers: Vec<Handler<'_>>) -> RewriteStrSettings<'_, '_> {
    let settings = RewriteStrSettings::new();
    handlers
        .into_iter()
        .fold(settings, RewriteStrSettings::append_element_content_handler)
}

/// The links to the sections of a page that has more than one.
fn on_this_page(outline: &Outline) -> String {
    if outline.sections.len() < 2 {
        return String::new();
    }
    let link = |(id, text): &(String, String)| format!(r##"<li><a href="#{id}">{text}</a></li>"##);
    let links: String = outline.sections.iter().map(link).collect();
    format!(
        r#"<nav class="onpage" aria-label="On this page"><span class="label">On this page</span><ol>{links}</ol></nav>"#
    )
}

/// The same labels, the second of two equal ones with a number.
fn unique(labels: &[String]) -> Vec<String> {
    let numbered = labels.iter().enumerate().map(|(index, label)| {
        let before = labels[..index]
            .iter()
            .filter(|other| *other == label)
            .count();
        match before {
            0 => label.clone(),
            n => format!("{label} ({})", n + 1),
        }
    });
    numbered.collect()
}
