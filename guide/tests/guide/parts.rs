//! Interactive parts: what was printed for those without scripts, what the model was held against, and
//! modules that a browser keeps.

use std::process::Command;

use guide::{build::build, expanded_markdown};

use crate::support::Book;

const PAGE: &str = "book/kafka/consume.md";

/// The book with a part on a page, and with a claim that only the part makes.
fn book() -> Book {
    let book = Book::new();
    let part = "book/interactive";
    book.write(&format!("{part}/kit.js"), "export const k = 1;");
    book.write(&format!("{part}/print.js"), "");
    book.write(&format!("{part}/model/line.js"), "export const m = 1;");
    book.write(
        &format!("{part}/view/line.js"),
        "import { k } from \"../kit.js\";\nimport { m } from \"../model/line.js\";\n",
    );
    book.write(
        &format!("{part}/printed/line.json"),
        r##"{"title": "A line", "system": "kafka", "element": "sim-line", "starts": {"first": {
            "said": "One of two.", "body": "<p><a href=\"#sim-line?x=1\">Try</a> It is so. {{#ev kafka-part}}</p>",
            "caption": "What is what", "head": ["Key", "Place"], "rows": [["a|b <c>", 1], ["d", 2]]}}}"##,
    );
    book.write(
        &format!("{part}/traces/line.json"),
        r#"{"model": "line", "what": "lines drawn on", "broker": "Kafka 4", "client": "a pen 1", "recorded": "2026-11-25",
            "cases": [[1, 1], [2, 3]]}"#,
    );
    book.append("book/evidence/kafka.toml", "\n[kafka-part]\nclaim = \"The part says so.\"\nsource = { title = \"A\", at = \"B\", read = 2026-11-25 }\n");
    book.append(PAGE, "\n{{#sim line first}}\n");
    book
}

fn said(book: &Book) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_guide"))
        .args(["build", "--root"])
        .arg(book.root())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_page_shows_what_was_printed_and_loads_one_script() {
    let book = book();
    build(book.root()).unwrap();
    let page = book.read("target/site/kafka/consume.html");
    for part in [
        "<sim-line id=\"sim-line\" data-start=\"first\">",
        "class=\"ev source\" href=\"#e-kafka-part\"",
        "<li id=\"e-kafka-part\"",
        "<th scope=\"row\">a|b &lt;c&gt;</th><td>1</td>",
        "2 lines drawn on Kafka 4, a pen 1, 25 November 2026: 0 differences.",
        "href=\"../interactive/traces/line.json\"",
    ] {
        let flat = page.replace('\n', "");
        assert!(flat.contains(part), "no {part} in {flat}");
    }
    let files = book.files("target/site/interactive");
    let named = |start: &str| {
        let found = files.iter().find(|file| file.starts_with(start));
        found.unwrap_or_else(|| panic!("no {start} in {files:?}"))
    };
    assert!(page.contains("href=\"../interactive/model/line.js\""));
    let view = named("view/line-");
    assert!(
        page.contains(&format!("src=\"../interactive/{view}\"")),
        "{view}"
    );
    assert!(
        !files
            .iter()
            .any(|file| file.contains("print.js") || file.contains("kit")),
        "{files:?}"
    );
    let view = book.read(&format!("target/site/interactive/{view}"));
    assert!(!view.contains("import"), "{view}");
}

#[test]
fn as_markdown_it_is_a_sentence_and_a_table() {
    let pages = expanded_markdown(book().root()).unwrap();
    let page = pages.iter().find(|(file, _)| file.ends_with("consume.md"));
    let text = &page.unwrap().1;
    let expected = "*A line.* One of two.\n\nWhat is what:\n\n| Key | Place |\n| --- | --- |\n| a\\|b \\<c> | 1 |\n| d | 2 |\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_difference_is_counted_and_listed() {
    let book = book();
    book.write(
        "book/interactive/differences.toml",
        "[[difference]]\ntrace = \"line\"\nemulator = \"It bends.\"\ndocumented = \"It is straight.\"\n\
         source = { title = \"Lines\", at = \"https://example.org/lines\", read = 2026-11-25 }\ncases = [\"2\"]\n",
    );
    book.append(
        "book/evidence.md",
        "\n## Where the emulator differs\n\n{{#differences}}\n",
    );
    build(book.root()).unwrap();
    let page = book.read("target/site/kafka/consume.html");
    assert!(page.contains("1 is not what AWS documents"), "{page}");
    let list = book.read("target/site/evidence.html");
    assert!(list.contains("<td>It bends.</td>"), "{list}");
}

#[test]
fn an_unknown_part_or_start() {
    let book = book();
    book.replace(PAGE, "{{#sim line first}}", "{{#sim circle first}}");
    assert!(
        said(&book).contains("consume.md:10: no interactive/printed/circle.json; correct the name")
    );
    book.replace(PAGE, "{{#sim circle first}}", "{{#sim line last}}");
    assert!(said(&book).contains("consume.md:10: line has no start `last`; known: first"));
    book.replace(PAGE, "{{#sim line last}}", "{{#sim line}}");
    assert!(said(&book).contains("consume.md:10: no start named; write {{#sim NAME START}}"));
}

#[test]
fn a_part_stands_once_on_a_page() {
    let book = book();
    book.append(PAGE, "\n{{#sim line first}}\n");
    assert!(said(&book).contains("the drawing `sim line` stands twice on this page"));
}
