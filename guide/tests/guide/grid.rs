//! Every construct of Markdown and of mdBook in every container, rendered by the guide and by stock mdBook, and
//! compared as trees: the same, or refused with the line of the page.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use ego_tree::NodeRef;
use guide::{build::build_into, errors::Problems};
use mdbook_driver::{MDBook, config::Config};
use scraper::{ElementRef, Html, Node, Selector};

use crate::support::Book;

/// A name, and the lines of a construct.
const CONSTRUCTS: [(&str, &str); 46] = [
    ("paragraph", "Some *text* and `code`."),
    ("fence", "```text\n  code\n\n<b> & more\n```"),
    ("open fence", "```text\ncode"),
    ("open fence of three lines", "```text\ncode\n\nmore"),
    ("tildes", "~~~~json,x\n{\"a\": 1}\n~~~\n~~~~"),
    ("no language", "```\nplain\n```"),
    ("empty fence", "```rust\n```"),
    ("indented fence", "  ```toml\n  [a]\n    b = 1\n  ```"),
    (
        "hidden rust",
        "```rust\n# use a;\nfn b() {}\n#\n## c\n  # d\n#[e]\n```",
    ),
    ("ignored rust", "```rust,ignore\n# use a;\nfn b() {}\n```"),
    ("hidelines", "```sh hidelines=!!!\n!!!hidden\nshown\n```"),
    ("hidelines of book.toml", "```python\n~hidden\nshown\n```"),
    ("include in a fence", "```rust\n{{#include x.rs}}\n```"),
    (
        "include behind a blank",
        "```rust\n{{ #include x.rs:part }}\n```",
    ),
    ("include of lines", "```text\n{{#include x.rs:2:3}}\n```"),
    ("include of a line", "{{#include x.rs:3}}"),
    (
        "rustdoc_include",
        "```rust\n{{#rustdoc_include x.rs:part}}\n```",
    ),
    (
        "rustdoc_include of lines",
        "```rust\n{{#rustdoc_include x.rs:2:2}}\n```",
    ),
    ("nested include", "{{#include nested.txt}}"),
    ("title", "{{#title Another}}Text."),
    ("escaped", "Write \\{{#include x.rs}} here."),
    ("escaped in code", "`\\{{#include x.rs}}`"),
    ("escaped in a fence", "```text\n\\{{#include x.rs}}\n```"),
    ("braces", "Write {{this}} and `{{#}}`."),
    ("image", "![An *image*](x.svg)"),
    ("image with a title", "![x](x.svg \"Its title\")"),
    ("image in a link", "[![x](x.svg)](page.md)"),
    ("link", "[a](page.md \"Title\") and <https://example.org/>."),
    ("reference", "[a][b]\n\n[b]: page.md"),
    ("footnote", "Text.[^f]\n\n[^f]: The note."),
    ("table", "| a | b |\n|:--|--:|\n| `c` | d |"),
    ("tasks", "- [ ] one\n- [x] two"),
    ("definition", "Term `x`\n: What it is.\n: And more."),
    ("html", "<div class=\"a\">\n\n*b*\n\n</div>"),
    ("inline html", "A <kbd>b</kbd> c<br>d"),
    ("comment", "<!-- a comment -->"),
    ("strike", "~~gone~~  \nnext"),
    ("rule", "a\n\n---\n\nb"),
    ("quote", "> a\n> b"),
    ("alert", "> [!NOTE]\n> Text."),
    ("heading with an id", "## Words {#own .cls}"),
    ("heading with hashes", "## Words ##"),
    ("heading twice", "### Same\n\n### Same"),
    ("heading with a link", "## A [link](page.md) -- `x` & y"),
    ("quotes", "\"It's\" -- so... &amp; &copy;"),
    ("nested list", "- a\n  1. b\n\n     c\n- d"),
];

/// A name, what begins the first line of a construct, and what begins each other.
const CONTAINERS: [(&str, &str, &str); 14] = [
    ("page", "", ""),
    ("item", "- ", "  "),
    ("number", "1. ", "   "),
    ("wide number", "10) ", "    "),
    ("tab", "-\t", "\t"),
    ("quote", "> ", "> "),
    ("quote in quote", "> > ", "> > "),
    ("quote in item", "- > ", "  > "),
    ("item in quote", "> - ", ">   "),
    ("item in item", "- * ", "    "),
    ("definition", "Term\n: ", "  "),
    ("task", "- [ ] ", "  "),
    ("note", "See.[^n]\n\n[^n]: ", "    "),
    ("blanks", "  ", "  "),
];

const ENDINGS: [(&str, &str); 3] = [("", ""), ("after", "\n\nAfter."), ("at once", "\nAfter.")];

/// Pages of one book: mdBook gives each page the list of all.
const PAGES: usize = 240;

#[test]
fn every_construct_in_every_container_is_rendered_as_by_mdbook() {
    let mut cases = Vec::new();
    for (construct, lines) in CONSTRUCTS {
        for (container, first, rest) in CONTAINERS {
            for (ending, end) in ENDINGS {
                let name = format!("{construct} | {container} | {ending}");
                cases.push((name, inside(lines, first, rest) + end + "\n"));
            }
        }
    }
    let mut wrong = Vec::new();
    let mut refused = BTreeMap::new();
    let mut trees = BTreeSet::new();
    for cases in cases.chunks(PAGES) {
        compare(cases, &mut wrong, &mut refused, &mut trees);
    }
    assert!(
        trees.len() * 2 > cases.len(),
        "only {} different trees",
        trees.len()
    );
    let refusals = refused.len();
    let kinds: BTreeMap<&str, Vec<&String>> =
        refused
            .iter()
            .fold(BTreeMap::new(), |mut kinds, (name, said)| {
                kinds
                    .entry(said.as_str())
                    .or_insert_with(Vec::new)
                    .push(name);
                kinds
            });
    for (said, names) in &kinds {
        println!("refused: {said}: {} pages, {}", names.len(), names[0]);
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    // What stands in a container, but is no part of it for Markdown, may be refused; most is rendered.
    assert!(
        refusals * 10 < cases.len(),
        "{refusals} of {} are refused",
        cases.len()
    );
}

/// Lines in a container.
fn inside(lines: &str, first: &str, rest: &str) -> String {
    let mut text = String::new();
    for (number, line) in lines.split('\n').enumerate() {
        let start = if number == 0 { first } else { rest };
        let line = format!("{start}{line}");
        text += if number == 0 { "" } else { "\n" };
        text += if number == 0 { &line } else { line.trim_end() };
    }
    text
}

fn compare(
    cases: &[(String, String)],
    wrong: &mut Vec<String>,
    refused: &mut BTreeMap<String, String>,
    trees: &mut BTreeSet<String>,
) {
    let book = Book::new();
    book.write(
        "book/g/x.svg",
        "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
    );
    book.write(
        "book/g/x.rs",
        "use a;\n// ANCHOR: part\nfn b() {}\n// ANCHOR_END: part\nfn c() {}\n",
    );
    book.write("book/g/nested.txt", "A {{#include more.txt}} c.\n");
    book.write("book/g/more.txt", "b\n");
    let head = "# Page\n<!-- description: It. -->\n";
    book.write("book/g/page.md", head);
    book.append(
        "book.toml",
        "\n[output.html.code.hidelines]\npython = \"~\"\n",
    );
    let summary = book.read("book/SUMMARY.md") + "\n# Grid\n\n- [Page](g/page.md)\n";
    for (number, (_, text)) in cases.iter().enumerate() {
        book.write(&format!("book/g/{number}.md"), &format!("{head}\n{text}"));
    }
    let mut left: Vec<usize> = (0..cases.len()).collect();
    let ours = book.root().join("ours");
    // What is refused at one step hides what is refused at the next.
    for _ in 0..5 {
        let entries = left.iter().map(|n| format!("- [P{n}](g/{n}.md)\n"));
        book.write(
            "book/SUMMARY.md",
            &(summary.clone() + &entries.collect::<String>()),
        );
        let Err(error) = build_into(book.root(), &ours) else {
            break;
        };
        let problems = error
            .downcast_ref::<Problems>()
            .expect("a problem of the book");
        for problem in problems.list() {
            let number = problem
                .file
                .file_stem()
                .and_then(|stem| stem.to_str()?.parse().ok());
            let number: usize = number.unwrap_or_else(|| panic!("not of a page: {problem}"));
            assert!(problem.line > 2, "not at its line: {problem}");
            refused.insert(cases[number].0.clone(), problem.message.clone());
            left.retain(|n| *n != number);
            let _ = fs::remove_file(book.root().join(format!("book/g/{number}.md")));
        }
    }
    stock(book.root()).expect("mdBook builds what the guide builds");
    for number in left {
        let page = |folder: &str| book.read(&format!("{folder}/g/{number}.html"));
        let (ours, stock) = (tree(&page("ours")), tree(&page("stock")));
        trees.insert(stock.clone());
        if ours != stock {
            let (name, text) = &cases[number];
            wrong.push(format!(
                "== {name}\n{text}-- ours\n{ours}\n-- stock\n{stock}"
            ));
        }
    }
}

/// Builds the book with mdBook as it comes, with what the guide's `book.toml` says about Markdown.
fn stock(root: &Path) -> anyhow::Result<()> {
    let mut config = Config::default();
    config.book.src = "book".into();
    config.build.build_dir = "stock".into();
    config.set("output.html.playground.runnable", false)?;
    config.set("output.html.print.enable", false)?;
    config.set("output.html.code.hidelines.python", "~")?;
    MDBook::load_with_config(root, config)?.build()
}

/// What a page says below its head, without what only the theme adds.
fn tree(html: &str) -> String {
    let html = Html::parse_document(html);
    let main = Selector::parse("main").unwrap();
    let main = html.select(&main).next().expect("a page has a main");
    let mut text = String::new();
    for child in main.children() {
        write(&mut text, child, false);
    }
    text.split_inclusive('\n')
        .filter(|line| !line.trim().is_empty())
        .collect()
}

fn write(text: &mut String, node: NodeRef<'_, Node>, is_code: bool) {
    match node.value() {
        Node::Text(words) if is_code => text.push_str(words),
        Node::Text(words) => {
            let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
            text.push_str(&words);
        }
        Node::Element(_) => {
            if let Some(element) = ElementRef::wrap(node) {
                write_element(text, element, is_code);
            }
        }
        _ => {}
    }
}

fn write_element(text: &mut String, element: ElementRef<'_>, is_code: bool) {
    let (name, class) = (
        element.value().name(),
        element.attr("class").unwrap_or_default(),
    );
    let all = |text: &mut String, is_code| {
        for child in element.children() {
            write(text, child, is_code);
        }
    };
    match name {
        // The head of a page is the guide's own.
        "header" | "h1" | "wbr" => return,
        "span" if class == "boring" => return,
        "span" if is_code => return all(text, true),
        // mdBook's image opens on a click by a style of its theme.
        "label" if class == "checkbox-label" => {
            let image = element
                .child_elements()
                .find(|child| child.value().name() == "img");
            return image
                .into_iter()
                .for_each(|image| write_element(text, image, false));
        }
        _ => {}
    }
    text.push_str(&format!("\n<{name}"));
    let mut attributes: Vec<String> = element
        .value()
        .attrs()
        .filter(|(attribute, _)| !OF_THE_THEME.contains(attribute))
        .filter(|(attribute, _)| *attribute != "class" || !matches!(name, "code" | "pre" | "table"))
        .map(
            |(attribute, value)| match (attribute, value.strip_prefix("text-align: ")) {
                ("style", Some(side)) => format!(" class={side}"),
                _ => format!(" {attribute}={value}"),
            },
        )
        .collect();
    attributes.sort();
    text.push_str(&attributes.concat());
    text.push('>');
    let is_listing = name == "code"
        && element.parent().is_some_and(|parent| {
            ElementRef::wrap(parent).is_some_and(|parent| parent.value().name() == "pre")
        });
    let mut inner = String::new();
    all(&mut inner, is_code || name == "code");
    text.push_str(if is_listing {
        inner.trim_end_matches('\n')
    } else {
        &inner
    });
    text.push_str(&format!("</{name}>\n"));
}

/// What the guide adds so that a page can be used by keyboard and read out, and on a phone.
const OF_THE_THEME: [&str; 5] = ["tabindex", "role", "aria-label", "scope", "data-s"];
