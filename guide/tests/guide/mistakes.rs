//! Each mistake in a book is one line that names the file, the line, what is wrong and what to do;
//! the last good site stays.

use std::process::{Command, Output, Stdio};

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
const SHOWN: &str = "shows = \"arrived <script>alert(1)</script>\"";

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
            "book/evidence/kafka.toml:14: `kafka-listed`: has neither run nor source; add what proves it"
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
            "book/evidence/kafka.toml:1: `kafka-arrives`: none of examples/kafka_gone.rs, \
             transcripts/kafka_gone.sh, tests/kafka_gone.rs in snippets/*, and no guarantee; write it or correct the name"
        ]
    );
}

#[test]
fn a_run_under_the_wrong_key() {
    let said = after(
        LEDGER,
        "transcript = \"kafka_list\"",
        "example = \"kafka_list\"",
    );
    assert_eq!(
        said,
        [
            "book/evidence/kafka.toml:14: `kafka-listed`: `kafka_list` is \
             snippets/kafka/transcripts/kafka_list.sh; correct the key of the run"
        ]
    );
}

#[test]
fn a_line_that_was_not_printed() {
    let said = after(LEDGER, SHOWN, "shows = \"departed\"");
    assert_eq!(
        said,
        [
            "book/evidence/kafka.toml:1: `kafka-arrives`: `departed` is no whole line of the output of \
          kafka_one; correct `shows` or record again"
        ]
    );
    let said = after(LEDGER, "shows = \"kafka-one.orders\"", "shows = \"other\"");
    assert!(
        said[0].contains("`other` is no whole line of the output of kafka_list;"),
        "{said:?}"
    );
    let said = after(LEDGER, &format!(", {SHOWN}"), "");
    assert!(said[0].contains("no `shows`; add the line"), "{said:?}");
}

#[test]
fn a_test_that_is_gone() {
    let said = after(LEDGER, "a_test_of_the_fixture", "a_test_that_is_gone");
    assert_eq!(
        said,
        [
            "book/evidence/kafka.toml:9: `kafka-tested`: no #[test] `a_test_that_is_gone` in a crate of \
          the workspace; correct the name"
        ]
    );
}

#[test]
fn a_test_that_nothing_runs() {
    let book = Book::new();
    book.write("tests/fixture/data.rs", "#[test]\nfn only_data() {}\n");
    book.write("other/tests/other.rs", "#[test]\nfn only_data() {}\n");
    book.replace(LEDGER, "a_test_of_the_fixture", "only_data");
    assert!(said(&book)[0].contains("no #[test] `only_data` in a crate of the workspace"));
    book.replace(
        "Cargo.toml",
        "members = [\"tests\"]",
        "members = [\"tests\", \"other\"]",
    );
    assert!(build(&book).status.success());
}

#[test]
fn an_id_in_two_parts() {
    let book = Book::new();
    let claim = "\n[kafka-read]\nclaim = \"X.\"\nsource = { title = \"T\", at = \"A\", read = 2026-11-23 }\n";
    book.write("book/evidence/sns.toml", claim);
    assert_eq!(
        said(&book)[..1],
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
    assert!(said[0].starts_with("book/kafka/consume.md:6: none of examples/kafka_tow.rs, "));
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
            "book/index.md:4: unknown directive `{{#prof}}`; known: proof, ev, ledger, drawing, matrix, errors, guarantee, \
          stalls, sim, differences, include, rustdoc_include, playground, title; write \\{{#prof}} if it is meant as text"
        ]
    );
}

#[test]
fn a_directive_in_code_or_a_comment_proves_nothing() {
    for hidden in ["<!-- {{#ev kafka-tested}} -->", "`{{#ev kafka-tested}}`"] {
        let said = after(
            PRODUCE,
            "and a test says so. {{#ev kafka-tested}}",
            &format!("x. {hidden}"),
        );
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("book/evidence/kafka.toml:9: no page uses `kafka-tested`;"));
        assert_eq!(
            said[1],
            "book/kafka/produce.md:12: {{#ev}} stands in code or a comment; move it, or write \
             \\{{#ev}} if it is meant as text"
        );
    }
    let said = after(
        "book/index.md",
        "Go to",
        "```text\n{{#proof kafka_two}}\n```\n\nGo to",
    );
    assert!(
        said[0].starts_with("book/index.md:5: {{#proof}} stands in code"),
        "{said:?}"
    );
}

#[test]
fn a_mark_without_a_sentence() {
    let book = Book::new();
    book.append(
        PRODUCE,
        "\n- {{#ev kafka-read}} It.\n\n## It. {{#ev kafka-read}}\n",
    );
    let message = "a mark follows a sentence; write it behind a full stop";
    let at = |line: usize| format!("{PRODUCE}:{line}: {message}");
    assert_eq!(said(&book), [at(30), at(32)]);
}

#[test]
fn the_same_mistake_twice_is_named_twice() {
    let book = Book::new();
    let text = "\n`\\{{#ev nothing}}`\n\nOne. {{#ev nothing}}\n\n```admonish trap\nTwo. {{#ev nothing}}\n```\n";
    book.append("book/index.md", text);
    let said = said(&book);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].starts_with("book/index.md:8: unknown claim `nothing`;"),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("book/index.md:11: unknown claim `nothing`;"),
        "{said:?}"
    );
}

#[test]
fn a_drawing_that_stands_twice() {
    let book = Book::new();
    book.append(
        PRODUCE,
        "\n{{#drawing line2}}\n\n{{#drawing line | Again.}}\n",
    );
    assert_eq!(
        said(&book),
        ["book/kafka/produce.md:32: the drawing `line` stands twice on this page; remove one"]
    );
}

#[test]
fn a_callout_that_does_not_name_its_kind() {
    let said = after(PRODUCE, "title=\"Trap: a page can", "title=\"A page can");
    assert_eq!(
        said,
        [
            "book/kafka/produce.md:18: the title of a callout begins with its kind; write title=\"Trap: \
          A page can be wrong\""
        ]
    );
}

#[test]
fn a_weak_proof() {
    let cases = [
        (
            SHOWN,
            "shows = \"e\"",
            "`kafka-arrives`: `e` is no whole line of the output of kafka_one;",
        ),
        (
            SHOWN,
            "shows = \"done {{#include nothing}}\"",
            "`kafka-arrives`: line 3 of the output of kafka_one differs from run to run",
        ),
        (
            "\"a_test_of_the_fixture\"",
            "\"main\"",
            "`kafka-tested`: no #[test] `main` in",
        ),
        (
            "\"a_test_of_the_fixture\"",
            "\"helper\"",
            "`kafka-tested`: no #[test] `helper` in",
        ),
        (
            "\"It was read.\"",
            "\" \"",
            "`kafka-read`: `claim` is empty;",
        ),
        (
            "title = \"A book\"",
            "title = \"\"",
            "`kafka-tested`: `title` of a source is empty;",
        ),
        (
            "at = \"A Publisher\"",
            "at = \"\"",
            "`kafka-tested`: `at` of a source is empty;",
        ),
    ];
    for (from, to, message) in cases {
        let said = after(LEDGER, from, to);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with(LEDGER) && said[0].contains(message),
            "{said:?}"
        );
    }
    let book = Book::new();
    book.replace(LEDGER, "[kafka-read]", "[Kafka_read]");
    book.replace(PRODUCE, "kafka-read", "Kafka_read");
    let said = said(&book);
    assert_eq!(
        said,
        [
            "book/evidence/kafka.toml:5: `Kafka_read`: an id has small letters, digits and hyphens; rename it"
        ]
    );
}

#[test]
fn an_output_that_is_no_plain_text() {
    let book = Book::new();
    book.write(
        "snippets/kafka/output/kafka_two.txt",
        "two\n\tand \u{1b}[31mred\n",
    );
    assert_eq!(
        said(&book),
        [
            "book/kafka/consume.md:6: snippets/kafka/output/kafka_two.txt: line 2 holds the control \
          character '\\u{1b}'; print plain text and record again"
        ]
    );
}

#[test]
fn a_record_with_an_unknown_key() {
    let book = Book::new();
    book.append("snippets/kafka/output/kafka_two.toml", "vary = []\n");
    let said = said(&book);
    let start =
        "book/kafka/consume.md:6: snippets/kafka/output/kafka_two.toml: unknown field `vary`";
    assert!(said[0].starts_with(start), "{said:?}");
}

#[test]
fn a_directive_that_is_not_closed() {
    let said = after("book/index.md", "Go to", "{{#ev kafka-read} Go to");
    assert_eq!(
        said,
        [
            "book/index.md:4: a directive is not closed; end it with `}}`, or write \\{{# if it is \
          meant as text"
        ]
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
            "book/SUMMARY.md:8: the page `kafka/consmue.md` has no file; write it or remove the entry",
            "book/kafka/consume.md:1: the page is not in SUMMARY.md; add it there or remove the file"
        ]
    );
}

#[test]
fn a_summary_that_cannot_be_used() {
    let said = after(
        "book/SUMMARY.md",
        "- [Consume](kafka/consume.md)",
        "- Consume",
    );
    assert_eq!(
        said[0],
        "book/SUMMARY.md:8: an entry without a link; write `- [Title](file.md)`"
    );
    let said = after(
        "book/SUMMARY.md",
        "- [Evidence](evidence.md)\n",
        "- [Evidence](evidence.md)\n- [Again](./index.md)",
    );
    assert_eq!(
        said,
        ["book/SUMMARY.md:13: `index.md` is also in line 3; remove one"]
    );
    let said = after(
        "book/SUMMARY.md",
        "# Reference",
        "[Suffix](kafka/produce.md)\n\n- x",
    );
    assert!(
        said.iter().all(|line| line.starts_with("book/")),
        "{said:?}"
    );
}

#[test]
fn what_only_mdbook_understands_has_a_line_too() {
    let book = Book::new();
    book.write("book/end.md", "# End\n<!-- description: It. -->\n");
    book.append(
        "book/SUMMARY.md",
        "\n[End](end.md)\n\n- [Consume](end.md)\n",
    );
    book.replace("book/SUMMARY.md", "- [Consume](end.md)", "- [Draft]()");
    let said = said(&book);
    assert_eq!(said.len(), 1, "{said:?}");
    let start = "book/SUMMARY.md:17: mdBook says: ";
    assert!(
        said[0].starts_with(start) && said[0].contains("Suffix chapters"),
        "{said:?}"
    );
    assert!(!said[0].contains(book.root().to_str().unwrap()), "{said:?}");
}

#[test]
fn a_page_that_is_not_in_the_summary() {
    let book = Book::new();
    book.write("book/kafka/groups.md", "# Groups\n");
    book.write("book/kafka/.#produce.md", "an editor's");
    assert_eq!(
        said(&book),
        ["book/kafka/groups.md:1: the page is not in SUMMARY.md; add it there or remove the file"]
    );
}

#[test]
#[cfg(unix)]
fn an_editors_link_to_nothing() {
    let book = Book::new();
    let link = book.root().join("book/kafka/.#produce.md");
    std::os::unix::fs::symlink("someone@somewhere.1", link).unwrap();
    let said = said(&book);
    assert_eq!(said.len(), 1, "{said:?}");
    let start = "book/kafka/.#produce.md:1: cannot be read: ";
    assert!(said[0].starts_with(start), "{said:?}");
}

#[test]
fn an_id_that_stands_twice() {
    let book = Book::new();
    book.append("book/index.md", "\n<p id=\"introduction\">Again.</p>\n");
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
        (
            "<img alt=\"x\" src=\"data:image/png;base64,AA\">",
            "data:image/png;base64,AA",
        ),
        (
            "<img alt=\"x\" src=\"favicon.svg\" srcset=\"//example.org/b.png 2x\">",
            "//example.org/b.png",
        ),
        (
            "<svg><image href=\"https://example.org/c.png\"/></svg>",
            "https://example.org/c.png",
        ),
        (
            "<svg><use xlink:href=\"https://example.org/d.svg#d\"/></svg>",
            "https://example.org/d.svg#d",
        ),
        (
            "<svg><path fill=\"url(https://example.org/e.svg#e)\"/></svg>",
            "https://example.org/e.svg#e",
        ),
        (
            "<video poster=\"https://example.org/f.png\"></video>",
            "https://example.org/f.png",
        ),
        (
            "<object data=\"https://example.org/g.svg\"></object>",
            "https://example.org/g.svg",
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
fn a_style_sheet_that_loads_what_it_may_not_or_what_is_not_there() {
    let book = Book::new();
    book.append(
        "book/theme/style.css",
        "\n/* url(no) */ x { a: url(fonts/none.woff2); }\ny { b: url('https://example.org/f.css'); }\n",
    );
    let lines = book.read("book/theme/style.css").lines().count();
    let said = said(&book);
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(
        said[0],
        format!(
            "book/theme/style.css:{}: `fonts/none.woff2`: the site has no \
             book/theme/fonts/none.woff2; correct or remove it",
            lines - 1
        )
    );
    let start =
        format!("book/theme/style.css:{lines}: `https://example.org/f.css` is from another host");
    assert!(said[1].starts_with(&start), "{said:?}");
}

#[test]
fn a_long_complaint_is_cut() {
    let book = Book::new();
    book.append(
        "book/index.md",
        &format!("\n<div class=\"{}\">\n", "x".repeat(20_000)),
    );
    let said = said(&book);
    assert!(said[0].starts_with("book/index.md:6: "), "{:.300}", said[0]);
    assert!(
        said.iter().all(|line| line.chars().count() < 300),
        "{:.300}",
        said[0]
    );
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
    let book = Book::new();
    book.append(PRODUCE, "\n```admonish trap title=Trap\" a page\nx\n```\n");
    let said = self::said(&book);
    assert!(
        said[0].starts_with("book/kafka/produce.md:30: a callout cannot be read: "),
        "{said:?}"
    );
}

#[test]
fn unknown_settings() {
    for (from, to, name, line) in [
        (
            "before = [\"links\"]",
            "\nrepositry = \"x\"",
            "unknown field `repositry`, expected one of `command`",
            3,
        ),
        (
            "assets_version = \"3.0.0\"",
            "\nonfailure = \"bail\"",
            "unknown field `onfailure`",
            3,
        ),
        (
            "title = \"Version\"",
            "\n\n[preprocessor.mermaid]",
            "unknown field `mermaid`, expected one of `guide`",
            5,
        ),
        (
            "title = \"Version\"",
            "\n\n[output.linkcheck]",
            "unknown field `linkcheck`, expected `html`",
            5,
        ),
    ] {
        let book = Book::new();
        book.replace("book.toml", from, &format!("{from}{to}"));
        let said = self::said(&book);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains(&format!(": {name}")), "{said:?}");
        assert!(
            said[0].starts_with(&format!("book.toml:{line}")),
            "{said:?}"
        );
        assert!(said[0].ends_with("; correct or remove it"), "{said:?}");
    }
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
    book.replace("book/index.md", "Go to", "Go. {{#ev nothing}} Go to");
    assert_eq!(build(&book).status.code(), Some(1));
    assert_eq!(book.read("target/site/index.html"), good);
    assert!(!book.exists("target/site.new"));
}

#[test]
fn builds_at_the_same_time_wait_for_each_other() {
    let book = Book::new();
    let start = || {
        let mut guide = Command::new(env!("CARGO_BIN_EXE_guide"));
        guide.args(["build", "--root"]).arg(book.root());
        guide
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let builds: Vec<_> = (0..6).map(|_| start()).collect();
    for build in builds {
        let output = build.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    assert!(book.exists("target/site/index.html") && !book.exists("target/site.new"));
}

#[test]
fn nobody_has_to_read_what_a_build_prints() {
    let book = Book::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut guide = Command::new(env!("CARGO_BIN_EXE_guide"));
    guide
        .args(["build", "--root"])
        .arg(book.root())
        .stdout(writer);
    let output = guide.stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_command_line_that_means_nothing() {
    for arguments in [
        &["preprocess", "nonsense"][..],
        &["--port", "4000", "build"],
        &["--open", "build"],
        &["biuld"],
    ] {
        let book = Book::new();
        let mut guide = Command::new(env!("CARGO_BIN_EXE_guide"));
        let output = guide
            .args(arguments)
            .current_dir(book.root())
            .output()
            .unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            !output.stderr.is_empty() && !book.exists("target/site"),
            "{arguments:?}"
        );
    }
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

#[test]
fn a_part_without_a_page() {
    let book = Book::new();
    let claim =
        "[sns-x]\nclaim = \"X.\"\nsource = { title = \"T\", at = \"A\", read = 2026-11-23 }\n";
    book.write("book/evidence/sns.toml", claim);
    book.append("book/index.md", "\nX. {{#ev sns-x}}\n");
    assert_eq!(
        said(&book),
        [
            "book/evidence.md:4: no page lists the part `sns`; write book/evidence/sns.md with {{#ledger sns}} \
             and its line in SUMMARY.md"
        ]
    );
}

#[test]
fn a_part_that_does_not_exist() {
    let said = after(
        "book/evidence/kafka.md",
        "{{#ledger kafka}}",
        "{{#ledger kafak}}",
    );
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(
        said[0],
        "book/evidence/kafka.md:4: no book/evidence/kafak.toml; correct the name of the part"
    );
}

/// What `guide stale` says.
fn stale(book: &Book, arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_guide"))
        .arg("stale")
        .args(arguments)
        .arg("--root")
        .arg(book.root())
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn sources_that_should_be_read_again() {
    let book = Book::new();
    assert_eq!(
        stale(&book, &["--as-of", "2027-05-22"]),
        "none: no source was read more than 180 days before 2027-05-22\n"
    );
    let old = "kafka: kafka-read: Design | notes (4.4), read 2026-11-23, 181 days ago; book/kafka/produce.md\n";
    assert_eq!(stale(&book, &["--as-of", "2027-05-23"]), old);
    let newer =
        "kafka: kafka-tested: A book, read 2026-11-24, 180 days ago; book/kafka/produce.md\n";
    assert_eq!(
        stale(&book, &["--days", "100", "--as-of", "2027-05-23"]),
        format!("{old}{newer}")
    );
}

/// What the check of the prose says.
fn unmarked(book: &Book) -> Vec<String> {
    let problems = guide::unmarked::unmarked(book.root()).unwrap();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_fact_without_a_mark() {
    let book = Book::new();
    assert_eq!(unmarked(&book), [""; 0]);
    book.append("book/index.md", "\nIt waits 5 s by default.\n");
    assert_eq!(
        unmarked(&book),
        [
            "book/index.md:6: a number with a unit without a mark: “It waits 5 s by default.” Add {{#ev ID}} behind \
             the full stop; or exempt the sentence, with the reason, in book/evidence/exempt.toml"
        ]
    );
    let exempt = |says: &str, why: &str| {
        format!("[[exempt]]\npage = \"index.md\"\nsays = \"{says}\"\nwhy = \"{why}\"\n")
    };
    book.write(
        "book/evidence/exempt.toml",
        &exempt("waits 5 s", "an example"),
    );
    assert_eq!(unmarked(&book), [""; 0]);
    // The list of exemptions is no part of the ledger.
    assert!(build(&book).status.success());
    let two = exempt("waits 5 s", "") + &exempt("waits 6 s", "an example");
    book.write("book/evidence/exempt.toml", &two);
    assert_eq!(
        unmarked(&book),
        [
            "book/evidence/exempt.toml:2: an exemption without a reason; write `why`",
            "book/evidence/exempt.toml:6: no unmarked fact says “waits 6 s” any more; remove the entry"
        ]
    );
}

#[test]
fn a_page_whose_address_is_taken() {
    let book = Book::new();
    book.write("book/404.md", "# Gone\n<!-- description: It. -->\n");
    book.write(
        "book/kafka/README.md",
        "# Kafka\n<!-- description: It. -->\n",
    );
    book.write(
        "book/kafka/index.md",
        "# Kafka\n<!-- description: It. -->\n",
    );
    book.append(
        "book/SUMMARY.md",
        "- [Gone](404.md)\n- [One](kafka/README.md)\n- [Two](kafka/index.md)\n",
    );
    let said = said(&book);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        said[0].contains("`404.md` cannot be a page: the site has a page of its own"),
        "{said:?}"
    );
    assert!(
        said[1].contains("are both kafka/index.html; rename one"),
        "{said:?}"
    );
}

#[test]
fn an_include_of_what_is_not_there() {
    let book = Book::new();
    book.write(
        "book/x.rs",
        "//ANCHOR:tight\nfn a() {}\n//ANCHOR_END:tight\n// ANCHOR: step_two\nfn b() {}\n",
    );
    book.write("book/round.txt", "{{#include round.txt}}\n");
    book.write("book/deep.txt", "{{#include gone.txt}}\n");
    for (include, told) in [
        (
            "x.rs:step2",
            "no anchor `step2` in the included file `x.rs`",
        ),
        (
            "x.rs:step_t",
            "no anchor `step_t` in the included file `x.rs`",
        ),
        ("x.rs:step_two", "no end of the anchor `step_two`"),
        (
            "x.rs:90:99",
            "no lines `90:99` (it has 5) in the included file `x.rs`",
        ),
        ("x.rs:5:2", "no lines `5:2`"),
        ("round.txt", "the included file `round.txt` includes itself"),
        ("deep.txt", "the included file `gone.txt` does not exist"),
    ] {
        let text = format!("```rust\n{{{{ #include {include}}}}}\n```\n\nGo to");
        let book_text = book.read("book/index.md");
        book.replace("book/index.md", "Go to", &text);
        let said = said(&book);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with(&format!("book/index.md:5: {told}")),
            "{said:?}"
        );
        book.write("book/index.md", &book_text);
    }
    book.append("book/index.md", "\n```rust\n{{#include x.rs:tight}}\n```\n");
    assert!(build(&book).status.success());
}

#[test]
fn what_mdbook_only_logs_stands_at_its_line() {
    let book = Book::new();
    book.append("book/index.md", "\nText.[^a]\n\n[^a]: One.\n\n[^a]: Two.\n");
    let said = said(&book);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("book/index.md:10: mdBook says: footnote `a`"),
        "{said:?}"
    );
}

#[test]
fn settings_that_the_guide_does_not_obey() {
    for (key, told) in [
        (
            "site-url = \"guide\"",
            "site-url `guide` is no https:// address and no path",
        ),
        (
            "mathjax-support = true",
            "`output.html.mathjax-support = true`: pages run no code",
        ),
        (
            "default-theme = \"navy\"",
            "the theme follows the reader's system",
        ),
        (
            "redirect = { \"/kafka/produce.html\" = \"x.html\" }",
            "there is a page at this address",
        ),
        (
            "redirect = { \"/old.html#a\" = \"index.html\" }",
            "no fragment can be redirected",
        ),
        ("theme = \"nothing\"", "`nothing` does not exist"),
    ] {
        let book = Book::new();
        match key.starts_with("theme") {
            true => book.replace("book.toml", "theme = \"book/theme\"", key),
            false => book.replace("book.toml", "input-404", &format!("{key}\ninput-404")),
        }
        let said = said(&book);
        assert!(
            said[0].starts_with("book.toml:1") && said[0].contains(told),
            "{said:?}"
        );
    }
}
