//! The text of a page, written anew as XML that an HTML parser reads the same: without what only a
//! browser can do, and with addresses and ids as an edition needs them.

use std::{fmt::Write, sync::LazyLock};

use regex::Regex;
use scraper::{Html, Node, Selector, node::Element};

use guide::markup;

/// `var(--sys,#1c6b4a)`: few readers of books know the page's colours.
static COLOUR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"var\(--[\w-]+,\s*([^)]*)\)").expect("a constant pattern"));

/// `url(#arrow)`
static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"url\(#([^)]*)\)").expect("a constant pattern"));

const MAIN: &str = "main";
const VOID: [&str; 5] = ["br", "col", "hr", "img", "wbr"];
/// Controls, and what only a browser shows.
const LEFT_OUT: [&str; 7] = [
    "button", "dialog", "fieldset", "iframe", "input", "script", "template",
];
const LEFT_OUT_CLASSES: [&str; 5] = [
    "admonition-anchor-link",
    "js",
    "onpage",
    "tablist",
    // What a part offers to try needs its script.
    "tries",
];
const IDS: [&str; 6] = [
    "id",
    "aria-controls",
    "aria-describedby",
    "aria-labelledby",
    "for",
    "headers",
];
/// Of the page's layout, or not known to older checkers.
const LEFT_OUT_ATTRIBUTES: [&str; 4] = ["align", "loading", "popover", "tabindex"];

/// How an edition names things.
pub struct Naming<'a> {
    /// Before each id.
    pub id: &'a str,
    /// The address of what a link leads to, which is seen from the page; nothing for what the edition
    /// lacks.
    pub link: &'a dyn Fn(&str) -> Option<String>,
    /// The same for pictures.
    pub picture: &'a dyn Fn(&str) -> Option<String>,
    /// Where the edition has a drawing, which is given as XML; nothing when it stays in the text.
    pub drawing: &'a dyn Fn(&str) -> Option<String>,
    /// Whether what is folded in the page is part of the edition.
    pub folded: bool,
}

/// The parsed page.
pub struct Document {
    html: Html,
}

impl Document {
    /// Parses a page.
    pub fn of(html: &str) -> Self {
        Self {
            html: Html::parse_document(html),
        }
    }

    /// What `main` contains.
    pub fn text(&self, naming: &Naming<'_>) -> String {
        let mut text = String::new();
        let main = Selector::parse(MAIN).ok();
        let main = main.and_then(|main| self.html.select(&main).next());
        for node in main.into_iter().flat_map(|main| main.children()) {
            write_node(&mut text, node, naming);
        }
        text
    }

    /// The addresses of the pictures, as the page has them.
    pub fn pictures(&self) -> Vec<String> {
        let images = Selector::parse("main img[src]").ok();
        let images = images.iter().flat_map(|images| self.html.select(images));
        images
            .filter_map(|image| image.attr("src").map(str::to_owned))
            .collect()
    }
}

type NodeRef<'a> = ego_tree::NodeRef<'a, Node>;

fn write_node(text: &mut String, node: NodeRef<'_>, naming: &Naming<'_>) {
    match node.value() {
        Node::Text(words) => text.push_str(&markup::text(words)),
        Node::Element(element) if !is_left_out(element, naming) => {
            write_element(text, node, element, naming);
        }
        _ => {}
    }
}

fn is_left_out(element: &Element, naming: &Naming<'_>) -> bool {
    let name = element.name();
    let mut classes = element.classes();
    LEFT_OUT.contains(&name)
        // It is said in words beside it.
        || name != "svg" && element.attr("aria-hidden") == Some("true")
        || name == "details" && !naming.folded
        || classes.any(|class| LEFT_OUT_CLASSES.contains(&class))
}

fn write_element(text: &mut String, node: NodeRef<'_>, element: &Element, naming: &Naming<'_>) {
    if element.name() != "svg" {
        return write_tag(text, node, element, naming);
    }
    let mut drawing = String::new();
    write_tag(&mut drawing, node, element, naming);
    match (naming.drawing)(&drawing) {
        None => text.push_str(&drawing),
        Some(address) => {
            let words = node.children().filter_map(|child| {
                let named = child.value().as_element()?.name();
                let first = child.first_child()?.value().as_text()?;
                matches!(named, "title" | "desc").then(|| first.to_string())
            });
            let words = markup::attribute(&words.collect::<Vec<_>>().join(" "));
            let address = markup::attribute(&address);
            let _ = write!(text, r#"<img src="{address}" alt="{words}"/>"#);
        }
    }
}

fn write_tag(text: &mut String, node: NodeRef<'_>, element: &Element, naming: &Naming<'_>) {
    let name = match element.name() {
        // An element of the guide's own: here it is what it holds.
        name if name.contains('-') => "div",
        name => name,
    };
    let mut attributes = String::new();
    if name == "svg" {
        attributes += r#" xmlns="http://www.w3.org/2000/svg""#;
    }
    for (attribute, value) in element.attrs() {
        let Some(value) = value_of(name, attribute, value, naming) else {
            continue;
        };
        // Writing to a string can't fail.
        let _ = write!(
            attributes,
            r#" {attribute}="{}""#,
            markup::attribute(&value)
        );
    }
    let _ = write!(text, "<{name}{attributes}");
    if VOID.contains(&name) {
        text.push_str("/>");
        return;
    }
    text.push('>');
    for child in node.children() {
        write_node(text, child, naming);
    }
    let _ = write!(text, "</{name}>");
}

/// The value of an attribute in the edition; nothing when the edition lacks the attribute.
fn value_of(element: &str, attribute: &str, value: &str, naming: &Naming<'_>) -> Option<String> {
    let named = |ids: &str| {
        let ids = ids
            .split_whitespace()
            .map(|id| format!("{}{id}", naming.id));
        ids.collect::<Vec<_>>().join(" ")
    };
    match (element, attribute) {
        (_, attribute) if LEFT_OUT_ATTRIBUTES.contains(&attribute) => None,
        (_, attribute) if attribute.starts_with("on") || attribute.contains(':') => None,
        // Only an open one shows everywhere.
        ("details", "open") => Some("open".to_owned()),
        ("a", "href") => match value.strip_prefix('#') {
            Some(id) => Some(format!("#{}{id}", naming.id)),
            None => (naming.link)(value),
        },
        ("img", "src") => (naming.picture)(value),
        (_, "href") => value
            .strip_prefix('#')
            .map(|id| format!("#{}{id}", naming.id)),
        (_, attribute) if IDS.contains(&attribute) => Some(named(value)),
        _ => {
            let value = COLOUR.replace_all(value, "$1");
            let reference = format!("url(#{}$1)", naming.id.replace('$', ""));
            Some(
                REFERENCE
                    .replace_all(&value, reference.as_str())
                    .into_owned(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_becomes_xml_with_its_own_names() {
        let page = "<body><nav>n</nav><main><h2 id=a>A &amp; b</h2><a href='../x.html'>x</a><br>\
                    <a href='#a'>a</a><button>Copy</button><details><summary>s</summary></details>\
                    <svg viewBox='0 0 1 1' fill='var(--sqs,#1c6b4a)' marker-end='url(#m)'><path d='M0'/></svg>\
                    <my-thing>t<span aria-hidden=true>u</span><nav class=tries>v</nav></my-thing></main>";
        let naming = Naming {
            id: "p1-",
            link: &|link| Some(link.replace(".html", ".xhtml")),
            picture: &|_| None,
            drawing: &|_| None,
            folded: false,
        };
        assert_eq!(
            Document::of(page).text(&naming),
            "<h2 id=\"p1-a\">A &amp; b</h2><a href=\"../x.xhtml\">x</a><br/><a href=\"#p1-a\">a</a>\
             <svg xmlns=\"http://www.w3.org/2000/svg\" fill=\"#1c6b4a\" marker-end=\"url(#p1-m)\" \
             viewBox=\"0 0 1 1\"><path d=\"M0\"></path></svg><div>t</div>"
        );
    }
}
