//! Each mistake in a book is one line that names the file, the line, what is wrong and what to do;
//! the last good site stays.

use std::process::{Command, Output};

use crate::support::Book;

fn build(book: &Book) -> Output {
    Command::new(env!("CARGO_BIN_EXE_guide"))
        .args(["build", "--root"])
        .arg(book.root())
        .output()
        .unwrap()
}

/// The lines that the build of a wrong book says.
fn said(book: &Book) -> Vec<String> {
    let output = build(book);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(output.stdout.is_empty());
    assert!(!book.exists("target/site"), "a wrong book became a site");
    said.lines().map(str::to_owned).collect()
}

/// What the build says after one text of one file was replaced by another.
fn after(file: &str, from: &str, to: &str) -> Vec<String> {
    let book = Book::new();
    book.replace(file, from, to);
    said(&book)
}

const PRODUCE: &str = "book/kafka/produce.md";
const LEDGER: &str = "book/evidence/kafka.toml";

#[test]
fn an_unknown_claim() {
    let said = after(
        PRODUCE,
        "arrives. {{#ev kafka-arrives}}",
        "arrives. {{#ev kafka-arives}}",
    );
    assert_eq!(
        said,
        [
            "book/kafka/produce.md:12: unknown claim `kafka-arives`; add [kafka-arives] to a file of \
          book/evidence or correct the id"
        ]
    );
}

#[test]
fn an_unknown_claim_in_a_caption() {
    let said = after(
        PRODUCE,
        "straight. {{#ev kafka-read}}",
        "straight. {{#ev kafka-red}}",
    );
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("book/kafka/produce.md:4: unknown claim `kafka-red`;"),
        "{said:?}"
    );
}

#[test]
fn a_claim_without_a_proof() {
    let said = after(
        LEDGER,
        "run = { transcript = \"kafka_list\", shows = \"kafka-one.orders\" }\n",
        "",
    );
    assert_eq!(
        said,
        [
            "book/evidence/kafka.toml:14: `kafka-listed` has neither run nor source; add what proves it"
        ]
    );
}

#[test]
fn a_claim_that_no_page_uses() {
    let said = after(
        PRODUCE,
        "and a test says so. {{#ev kafka-tested}}",
        "and more.",
    );
    assert_eq!(
        said,
        [
            "book/evidence/kafka.toml:9: no page uses `kafka-tested`; add {{#ev kafka-tested}} or remove \
          the claim"
        ]
    );
}

#[test]
fn an_example_that_is_gone() {
    let said = after(
        LEDGER,
        "example = \"kafka_one\"",
        "example = \"kafka_gone\"",
    );
    assert_eq!(
        said,
        [
            "book/evidence/kafka.toml:1: `kafka-arrives`: no snippets/*/examples/kafka_gone.rs; write the \
          program or correct the name"
        ]
    );
}

#[test]
fn a_line_that_was_not_printed() {
    let said = after(LEDGER, "shows = \"arrived\"", "shows = \"departed\"");
    assert_eq!(
        said,
        [
            "book/evidence/kafka.toml:1: `kafka-arrives`: `departed` is no line of the output of \
          kafka_one; correct `shows` or record again"
        ]
    );
    let said = after(LEDGER, "shows = \"kafka-one.orders\"", "shows = \"other\"");
    assert!(
        said[0].contains("`other` is no line of the transcript kafka_list;"),
        "{said:?}"
    );
    let said = after(LEDGER, ", shows = \"arrived\"", "");
    assert!(said[0].contains("no `shows`; add the line"), "{said:?}");
}

#[test]
fn a_test_that_is_gone() {
    let said = after(LEDGER, "a_test_of_the_fixture", "a_test_that_is_gone");
    assert_eq!(
        said,
        [
            "book/evidence/kafka.toml:9: `kafka-tested`: no test `a_test_that_is_gone` in tests, sandbox \
          or guide; correct the name"
        ]
    );
}

#[test]
fn an_id_in_two_parts() {
    let book = Book::new();
    let claim = "\n[kafka-read]\nclaim = \"X.\"\nsource = { title = \"T\", at = \"A\", read = 2026-11-23 }\n";
    book.write("book/evidence/sns.toml", claim);
    assert_eq!(
        said(&book),
        [
            "book/evidence/sns.toml:2: `kafka-read` is also in book/evidence/kafka.toml:5; rename one"
        ]
    );
}

#[test]
fn a_ledger_that_cannot_be_read() {
    let said = after(
        LEDGER,
        "claim = \"It was read.\"",
        "clam = \"It was read.\"",
    );
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("book/evidence/kafka.toml:5: `kafka-read`: no `claim`"),
        "{said:?}"
    );
    let said = after(LEDGER, "version = \"4.4\"", "vresion = \"4.4\"");
    assert!(
        said[0].starts_with("book/evidence/kafka.toml:5: `kafka-read`: unknown field `vresion`")
    );
    let said = after(LEDGER, "claim = \"It was read.\"", "claim = ");
    assert!(
        said[0].starts_with("book/evidence/kafka.toml:6: "),
        "{said:?}"
    );
}

#[test]
fn a_program_without_output_or_record() {
    for extension in ["txt", "toml"] {
        let book = Book::new();
        book.remove(&format!("snippets/kafka/output/kafka_two.{extension}"));
        assert_eq!(
            said(&book),
            [format!(
                "book/kafka/consume.md:6: no snippets/kafka/output/kafka_two.{extension}; record a \
                 run: cargo run --bin record kafka_two"
            )]
        );
    }
}

#[test]
fn a_program_or_anchor_or_drawing_that_does_not_exist() {
    let said = after(
        "book/kafka/consume.md",
        "{{#proof kafka_two}}",
        "{{#proof kafka_tow}}",
    );
    assert!(said[0].starts_with("book/kafka/consume.md:6: no snippets/*/examples/kafka_tow.rs;"));
    let said = after(PRODUCE, "kafka_one:heart", "kafka_one:hart");
    assert!(
        said.contains(&"book/kafka/produce.md:8: no `// ANCHOR: hart` with its `// ANCHOR_END: hart` in \
                        snippets/kafka/examples/kafka_one.rs; add the two comments or correct the name"
            .to_owned()),
        "{said:?}"
    );
    let said = after(
        "book/kafka/consume.md",
        "{{#drawing line line2}}",
        "{{#drawing lin}}",
    );
    assert_eq!(
        said,
        ["book/kafka/consume.md:8: no drawing book/drawings/lin.svg; draw it or correct the name"]
    );
}

#[test]
fn a_directive_that_nobody_knows() {
    let said = after("book/index.md", "Go to", "{{#prof kafka_one}}\n\nGo to");
    assert_eq!(
        said,
        [
            "book/index.md:4: unknown directive `{{#prof}}`; known: proof, ev, ledger, drawing, include, \
          rustdoc_include, playground, title"
        ]
    );
}

#[test]
fn a_directive_that_is_not_closed() {
    let said = after("book/index.md", "Go to", "{{#ev kafka-read} Go to");
    assert_eq!(
        said,
        ["book/index.md:4: a directive is not closed; end it with `}}`"]
    );
}

#[test]
fn a_page_that_is_no_text() {
    let book = Book::new();
    book.write_bytes("book/index.md", b"\xff\xfe");
    let said = said(&book);
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("book/index.md:1: cannot read it: "),
        "{said:?}"
    );
}

#[test]
fn a_panel_inside_a_sentence() {
    let said = after(
        "book/kafka/consume.md",
        "{{#proof kafka_two}}",
        "See {{#proof kafka_two}} here.",
    );
    assert_eq!(
        said,
        ["book/kafka/consume.md:6: {{#proof}} stands alone on its line; move it"]
    );
}

#[test]
fn an_include_that_does_not_exist() {
    let said = after(
        "book/index.md",
        "Go to",
        "{{#include ../nothing.md}}\n\nGo to",
    );
    assert_eq!(
        said,
        ["book/index.md:4: the included file `../nothing.md` does not exist; correct the path"]
    );
    let said = after(
        "book/index.md",
        "Go to",
        "{{#include ../Cargo.toml:part}}\n\nGo to",
    );
    assert_eq!(
        said,
        [
            "book/index.md:4: no anchor `part` in the included file `../Cargo.toml`; add or correct it"
        ]
    );
}

#[test]
fn a_page_without_title_or_description() {
    let said = after(
        "book/index.md",
        "<!-- description: What this small book is for. -->",
        "",
    );
    assert_eq!(
        said,
        ["book/index.md:2: no description; write <!-- description: one sentence --> on line 2"]
    );
    let said = after("book/index.md", "# Introduction\n", "\n");
    assert_eq!(
        said,
        ["book/index.md:1: no title; write `# Title` on line 1"]
    );
}

#[test]
fn a_dead_link() {
    let said = after(
        "book/index.md",
        "kafka/produce.md#the-program",
        "kafka/produce.md#the-progam",
    );
    assert_eq!(
        said,
        [
            "book/index.md:4: dead link `kafka/produce.html#the-progam`: kafka/produce.html has no \
          `#the-progam`; correct or remove it"
        ]
    );
    let said = after("book/kafka/consume.md", "(produce.md)", "(share-groups.md)");
    assert_eq!(
        said,
        [
            "book/kafka/consume.md:4: dead link `share-groups.html`: no such page or file; correct or \
          remove it"
        ]
    );
    let said = after(
        "book/index.md",
        "(kafka/produce.md#the-program)",
        "(files/data.csv)",
    );
    assert!(
        said[0].starts_with("book/index.md:4: dead link `files/data.csv`: no such page or file;")
    );
}

#[test]
fn an_entry_of_the_summary_without_its_file() {
    let said = after("book/SUMMARY.md", "kafka/consume.md", "kafka/consmue.md");
    assert_eq!(
        said,
        [
            "book/SUMMARY.md:8: the page `kafka/consmue.md` has no file; write it or remove the entry"
        ]
    );
}

#[test]
fn an_id_that_stands_twice() {
    let book = Book::new();
    book.append("book/index.md", "\n## Introduction\n");
    assert_eq!(
        said(&book),
        ["book/index.md:6: the id `introduction` stands twice on the page; rename one heading"]
    );
}

#[test]
fn what_the_policy_forbids() {
    for (markup, named) in [
        ("<p style=\"color:red\">Red.</p>", "<p"),
        ("<script>alert(1)</script>", "<script"),
        (
            "![A picture](https://example.org/a.png)",
            "https://example.org/a.png",
        ),
    ] {
        let book = Book::new();
        book.append("book/index.md", &format!("\n{markup}\n"));
        let said = said(&book);
        let start = format!("book/index.md:6: `{named}` is from another host or inline");
        assert!(said.iter().any(|line| line.starts_with(&start)), "{said:?}");
    }
}

#[test]
fn a_tag_that_is_not_closed() {
    let book = Book::new();
    book.append("book/index.md", "\n<div>\n\nText.\n");
    let said = said(&book);
    assert_eq!(said.len(), 1);
    let start = "book/index.md:6: mdBook says: unclosed HTML tag `<div>`";
    assert!(said[0].starts_with(start), "{said:?}");
}

#[test]
fn a_callout_that_cannot_be_read() {
    let said = after(
        PRODUCE,
        "admonish trap title=\"Trap: a page",
        "admonish trap title=Trap\" a page",
    );
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("book/kafka/produce.md:18: a callout cannot be read: "),
        "{said:?}"
    );
}

#[test]
fn unknown_settings() {
    let said = after(
        "book.toml",
        "before = [\"links\"]",
        "before = [\"links\"]\nrepositry = \"x\"",
    );
    assert_eq!(said.len(), 1);
    assert!(
        said[0].contains(": unknown key `repositry` in [preprocessor.guide]; known: command, ")
    );
    assert!(said[0].starts_with("book.toml:3"), "{said:?}");
    let book = Book::new();
    book.append("book.toml", "\n[preprocessor.mermaid]\n");
    let lines = book.read("book.toml").lines().count();
    assert_eq!(
        self::said(&book),
        [format!(
            "book.toml:{lines}: unknown preprocessor `mermaid`; the guide runs guide and admonish, \
             remove it"
        )]
    );
    let said = after(
        "book.toml",
        "theme = \"book/theme\"",
        "theme = \"book/theme\"\nthme = \"x\"",
    );
    assert!(
        said[0].starts_with("book.toml:13: unknown field `thme`"),
        "{said:?}"
    );
    let said = after("book.toml", "[build]", "[bild]");
    assert!(
        said[0].starts_with("book.toml:7: unknown field `bild`"),
        "{said:?}"
    );
    let said = after(
        "book.toml",
        "[output.html]\n",
        "[output.html]\ngit-repository-url = \"guide\"\n",
    );
    assert!(
        said[0].contains("git-repository-url `guide` is no https:// address"),
        "{said:?}"
    );
}

#[test]
fn several_mistakes_are_named_at_once() {
    let book = Book::new();
    book.replace(PRODUCE, "{{#ev kafka-listed}}", "{{#ev nothing}}");
    book.replace(
        "book/kafka/consume.md",
        "{{#proof kafka_two}}",
        "{{#proof nothing}}",
    );
    let said = said(&book);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].starts_with("book/evidence/kafka.toml:14: no page uses"));
    assert!(said[1].starts_with("book/kafka/consume.md:6:"));
    assert!(said[2].starts_with("book/kafka/produce.md:19:"));
}

#[test]
fn the_last_good_site_stays() {
    let book = Book::new();
    assert!(build(&book).status.success());
    let good = book.read("target/site/index.html");
    book.replace("book/index.md", "Go to", "{{#ev nothing}} Go to");
    assert_eq!(build(&book).status.code(), Some(1));
    assert_eq!(book.read("target/site/index.html"), good);
    assert!(!book.exists("target/site.new"));
}

#[test]
fn no_project_here() {
    let folder = tempfile::tempdir().unwrap();
    let guide = Command::new(env!("CARGO_BIN_EXE_guide"))
        .arg("build")
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8(guide.stderr).unwrap();
    assert_eq!(guide.status.code(), Some(1));
    assert_eq!(said.lines().count(), 1);
    assert!(said.starts_with("no book.toml in "), "{said}");
}
