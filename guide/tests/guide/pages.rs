//! What a small book becomes: its pages, and its chapters as plain Markdown.

use crate::support::Book;
use guide::{
    build::{build, build_into, build_on},
    expanded_markdown,
};
use jiff::civil::date;

fn built() -> (Book, String) {
    let book = Book::new();
    build(book.root()).unwrap();
    let page = book.read("target/site/kafka/produce.html");
    (book, page)
}

/// The part of a text from one mark to the next, both included.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text
        .find(from)
        .unwrap_or_else(|| panic!("no {from} in {text}"));
    let end = text[start..]
        .find(to)
        .unwrap_or_else(|| panic!("no {to} after {from}"));
    &text[start..start + end + to.len()]
}

#[test]
fn the_head_names_part_title_lead_and_counts() {
    let (_, page) = built();
    let head = between(&page, "<header class=\"head", "</header>").replace('\n', "");
    assert_eq!(
        head,
        "<header class=\"head wide kafka\"><p class=\"label sq\">Kafka</p>\
         <h1 id=\"produce\"><a class=\"header\" href=\"#produce\">Produce</a></h1>\
         <p class=\"lead\">It’s a page with “everything” on it.</p>\
         <p class=\"meta\"><span class=\"ev run\">3 claims proven by a run</span> \
         <span class=\"ev source\">2 read in a source</span> <span>last run 23 November 2026 to 25 November 2026</span></p>\
         <nav class=\"onpage\" aria-label=\"On this page\"><span class=\"label\">On this page</span>\
         <ol><li><a href=\"#the-program\">The program</a></li>\
         <li><a href=\"#how-it-works\">How it works</a></li><li><a href=\"#sources\">Sources</a></li>\
         </ol></nav></header>"
    );
    assert!(page.contains("<body class=\"kafka\">"));
    let description = "content=\"It's a page with &quot;everything&quot; on it.\"";
    assert!(
        page.contains(description),
        "{}",
        between(&page, "<meta name=\"desc", ">")
    );
}

#[test]
fn a_panel_holds_excerpt_whole_file_commands_output_and_record() {
    let (_, page) = built();
    let panel = between(&page, "<figure class=\"proof", "</figure>");
    assert!(panel.starts_with(
        "<figure class=\"proof wide kafka\" id=\"proof-kafka_one\" aria-label=\"Proof: kafka_one.rs\">\
         <header><b>Excerpt</b><code>kafka/<wbr>examples/<wbr>kafka_one.rs</code>\
         <span class=\"of\">3 of 10 lines</span><button class=\"copy js\" type=\"button\" \
         aria-controls=\"p1\" aria-label=\"Copy whole file\">Copy whole file</button></header>"
    ));
    let excerpt = between(panel, "aria-label=\"Excerpt heart", "</pre>");
    assert!(excerpt.contains("<code><span class=\"m\">println!</span>(<span class=\"s\">"));
    let whole = between(panel, "<code id=\"p1\">", "</code>");
    assert!(
        whole.contains("<span class=\"k\">use</span> anyhow::<span class=\"t\">Result</span>;")
    );
    assert!(!panel.contains("ANCHOR"));
    assert!(panel.contains(
        "<code class=\"cmd\" id=\"p1a\">cargo add <span class=\"nw\">anyhow@1.0.105</span> &amp;&amp; cargo add \
         <span class=\"nw\">tokio@1.54.1</span> <span class=\"nw\">--features</span> full</code>"
    ));
    assert!(panel.contains("<code class=\"cmd\" id=\"p1c\">cargo run <span class=\"nw\">--example</span> kafka_one</code>"));
    assert!(panel.contains(
        "<samp>arrived &lt;script&gt;alert(1)&lt;/script&gt;\n\ndone {{#include nothing}}</samp>"
    ));
    assert!(panel.ends_with(
        "<figcaption><span class=\"qed\">Recorded 23 November 2026, Apache Kafka 4.4.0, \
         rdkafka 0.39.0. Line 3 differs from run to run.</span></figcaption></figure>"
    ));
}

#[test]
fn a_whole_program_needs_no_fold_and_no_crates() {
    let (book, _) = built();
    let page = book.read("target/site/kafka/consume.html");
    let panel = between(&page, "<figure class=\"proof", "</figure>");
    assert!(panel.contains("<header><b>Program</b>"));
    assert!(panel.contains("<span class=\"of\">3 lines</span>"));
    assert!(panel.contains("aria-label=\"Copy the program\">Copy</button>"));
    assert!(!panel.contains("<details>") && !panel.contains("<b>Add</b>"));
    assert!(page.contains(
        "<p>Programs on this page last ran on 2 November 2026: Apache Kafka 4.4.0, \
                           rdkafka 0.39.0, Rust 1.95.0.</p>"
    ));
    assert!(page.contains("<div class=\"trio\"><svg class=\"drawing\""));
}

#[test]
fn a_session_is_shown_with_its_command_and_is_no_rust() {
    let book = Book::new();
    book.append("book/index.md", "\n{{#proof kafka_list}}\n");
    build(book.root()).unwrap();
    let page = book.read("target/site/index.html");
    let panel = between(&page, "<figure class=\"proof", "</figure>");
    assert!(panel.contains("<header><b>Session</b>"), "{panel}");
    assert!(panel.contains("bash snippets/kafka/transcripts/kafka_list.sh</code>"));
    assert!(panel.contains("<samp>kafka-one.orders</samp>") && !panel.contains("<b>Add</b>"));
    let marked = book.read("target/site/kafka/produce.html");
    assert!(
        marked.contains("href=\"../index.html#proof-kafka_list\""),
        "{marked}"
    );
    let markdown = expanded_markdown(book.root()).unwrap();
    assert!(
        markdown
            .iter()
            .any(|chapter| chapter.1.contains("```sh\nkafka-topics.sh --list\n```"))
    );
}

#[test]
fn a_test_is_shown_with_its_command_and_compiled_by_cargo_alone() {
    let book = Book::new();
    book.write(
        "snippets/kafka/tests/kafka_mock.rs",
        "#[test]\nfn it_sends() {}\n",
    );
    book.write(
        "snippets/kafka/output/kafka_mock.txt",
        "test it_sends ... ok\n",
    );
    book.write(
        "snippets/kafka/output/kafka_mock.toml",
        "recorded = 2026-11-25\nclient = \"rdkafka 0.39.0\"\nrust = \"1.95.0\"\n",
    );
    book.append("book/index.md", "\n{{#proof kafka_mock}}\n");
    build(book.root()).unwrap();
    let page = book.read("target/site/index.html");
    let panel = between(&page, "<figure class=\"proof", "</figure>");
    assert!(panel.contains("<header><b>Test</b>"), "{panel}");
    assert!(panel.contains("cargo test <span class=\"nw\">--test</span> kafka_mock</code>"));
    assert!(panel.contains("<samp>test it_sends ... ok</samp>"));
    assert!(panel.contains("Recorded 25 November 2026, no broker, rdkafka 0.39.0."));
    let markdown = expanded_markdown(book.root()).unwrap();
    assert!(
        markdown
            .iter()
            .any(|chapter| chapter.1.contains("```rust,ignore\n#[test]\n"))
    );
}

#[test]
fn a_drawing_inside_a_line_is_framed_by_the_page() {
    let book = Book::new();
    book.append(
        "book/index.md",
        "\n<div class=\"glance\"><h3>Kafka</h3>{{#drawing line}}<p>A log.</p></div>\n",
    );
    build(book.root()).unwrap();
    let page = book.read("target/site/index.html");
    assert!(page.contains("</h3>\n<svg class=\"drawing\""), "{page}");
    assert!(!page.contains("<figure"));
}

#[test]
fn marks_hold_on_to_their_sentence_and_lead_to_the_sources() {
    let (_, page) = built();
    let nbsp = "\u{a0}";
    assert!(page.contains(&format!(
        "The record arrives<span class=\"nw\">.{nbsp}<a class=\"ev run\" href=\"#e-kafka-arrives\" \
         data-n=\"2\" aria-label=\"Proof 2: run\">run</a></span> It stays"
    )));
    assert!(page.contains("aria-label=\"Proof 3: run + source\">run + source</a>"));
    assert!(page.contains("aria-label=\"Proof 1: source\""));
    let sources = between(&page, "<ol class=\"sources\">", "</ol>").replace('\n', "");
    assert_eq!(
        sources,
        "<ol class=\"sources\"><li id=\"e-kafka-read\" class=\"source\">\
         <span class=\"vh\">Source: </span><a href=\"https://example.org/design\">Design | notes (4.4)</a>, \
         read 23 November 2026</li><li id=\"e-kafka-arrives\" class=\"run\">\
         <span class=\"vh\">Run: </span><a href=\"#proof-kafka_one\"><code>kafka_one</code></a>: \
         <samp>arrived &lt;script&gt;alert(1)&lt;/script&gt;</samp></li><li id=\"e-kafka-tested\" class=\"both\">\
         <span class=\"vh\">Run and source: </span>test <code>a_test_of_the_fixture</code>; A book, \
         A Publisher, read 24 November 2026</li><li id=\"e-kafka-listed\" class=\"run\">\
         <span class=\"vh\">Run: </span><code>kafka_list</code>: <samp>kafka-one.orders</samp></li></ol>"
    );
}

#[test]
fn the_overview_counts_the_claims_of_each_part() {
    let (book, _) = built();
    let page = book.read("target/site/evidence.html");
    let counted =
        "4 claims: 2 proven by a run alone, 1 read in a source alone, 1 both, none without either.";
    assert!(page.contains(counted), "{page}");
    let row = between(&page, "<tbody>", "</tbody>").replace('\n', "");
    let numbers = [4, 2, 1, 1]
        .map(|n| format!("<td class=\"right\">{n}</td>"))
        .concat();
    assert_eq!(
        row,
        format!(
            "<tbody><tr><td><a href=\"evidence/kafka.html\">Kafka</a></td>{numbers}</tr></tbody>"
        )
    );
}

#[test]
fn a_part_lists_its_claims_with_proof_day_and_pages() {
    let book = Book::new();
    // Recorded before the rest was read.
    book.replace(
        "snippets/kafka/transcripts/kafka_list.toml",
        "recorded = 2026-11-25",
        "recorded = 2026-10-01",
    );
    build(book.root()).unwrap();
    let page = book.read("target/site/evidence/kafka.html");
    let ids: Vec<_> = page
        .split("<li id=\"")
        .skip(1)
        .map(|li| li.split('"').next().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "kafka-tested",
            "kafka-arrives",
            "kafka-read",
            "kafka-listed"
        ]
    );
    let entry = between(&page, "<li id=\"kafka-arrives\"", "</li>").replace('\n', "");
    assert_eq!(
        entry,
        "<li id=\"kafka-arrives\" class=\"run\"><b>The record arrives.</b> <span class=\"vh\">Run: </span>\
         <a href=\"../kafka/produce.html#proof-kafka_one\"><code>kafka_one</code></a>: <samp>arrived \
         &lt;script&gt;alert(1)&lt;/script&gt;</samp>. <span class=\"of\">Checked 23 November 2026. On \
         <a href=\"../kafka/produce.html#sources\">Produce</a>.</span></li>"
    );
    assert!(
        page.contains("id=\"by-both\" checked")
            && page.contains("<span class=\"ev both\">by both, 1</span>")
    );
    let twin = book.read("target/site/evidence/kafka.md");
    assert!(
        twin.contains("- The record arrives. Run: `kafka_one` printed `arrived <script>alert(1)</script>`. Checked 23 November 2026. On [Produce](../kafka/produce.md).\n"),
        "{twin}"
    );
}

#[test]
fn a_source_that_was_read_long_ago_says_so() {
    let book = Book::new();
    // Read on 23 November 2026: 180 days later it is still fresh.
    build_on(book.root(), date(2027, 5, 22)).unwrap();
    let page = book.read("target/site/kafka/produce.html");
    assert!(!page.contains("days ago"));
    build_on(book.root(), date(2027, 5, 23)).unwrap();
    let page = book.read("target/site/kafka/produce.html");
    let old =
        "read 23 November 2026<span class=\"stale\"> (read more than 180 days ago)</span></li>";
    assert!(
        page.contains(old),
        "{}",
        between(&page, "<ol class=\"sources\"", "</ol>")
    );
    assert_eq!(page.matches("180 days ago").count(), 1);
    let twin = book.read("target/site/kafka/produce.md");
    assert!(
        twin.contains("read 23 November 2026 (read more than 180 days ago)\n"),
        "{twin}"
    );
}

#[test]
fn what_scrolls_can_be_reached_and_nothing_is_inline() {
    let (book, page) = built();
    assert!(page.contains(
        "<div class=\"table-wrapper\" tabindex=\"0\" role=\"region\" aria-label=\"Table: How it works\">"
    ));
    assert!(page.contains(
        "<pre tabindex=\"0\" role=\"region\" aria-label=\"Listing: How it works (2)\">\
                           <code>[<span class=\"t\">a</span>]\n\nb = <span class=\"s\">"
    ));
    assert!(
        page.contains("<th scope=\"col\" class=\"right\">"),
        "{}",
        between(&page, "<thead>", "</thead>")
    );
    assert!(page.contains("<td class=\"right\">"));
    assert!(page.contains("aria-label=\"Link to this note\">#</a>"));
    assert!(page.contains("<code>{{#proof kafka_one}}</code>"));
    for file in book
        .files("target/site")
        .iter()
        .filter(|file| file.ends_with(".html"))
    {
        let page = book.read(&format!("target/site/{file}"));
        for inline in [
            "style=",
            "<style",
            "<script>",
            "onclick",
            "data-live",
            "=\"http://",
        ] {
            assert!(!page.contains(inline), "{file} contains {inline}");
        }
    }
}

#[test]
fn the_site_holds_only_what_its_pages_use() {
    let (book, page) = built();
    let names = book.files("target/site");
    let plain = names.iter().map(|name| {
        let (stem, extension) = name.rsplit_once('.').unwrap();
        match stem.rsplit_once('-') {
            Some((stem, hash)) if hash.len() == 8 => format!("{stem}-HASH.{extension}"),
            _ => name.clone(),
        }
    });
    assert_eq!(
        plain.collect::<Vec<_>>(),
        [
            ".nojekyll",
            "404.html",
            "book/theme/script-HASH.js",
            "book/theme/style-HASH.css",
            "evidence.html",
            "evidence.md",
            "evidence/kafka.html",
            "evidence/kafka.md",
            "favicon-HASH.svg",
            "index.html",
            "index.md",
            "kafka/consume.html",
            "kafka/consume.md",
            "kafka/produce.html",
            "kafka/produce.md",
            "llms.txt",
            "robots.txt",
            "search/h0-HASH.txt",
            "search/search.js",
            "search/t2.0-HASH.txt",
            "search/t3.0-HASH.txt",
            "search/t4.0-HASH.txt",
            "search/v-HASH.txt",
            "search/w0-HASH.txt",
        ]
    );
    let current = "<a href=\"../kafka/produce.html\" aria-current=\"page\">Produce</a>";
    assert_eq!(page.matches("aria-current=\"page\"").count(), 1);
    assert!(page.contains(current));
    let index = book.read("target/site/index.html");
    assert!(index.contains("<a href=\"index.html\" aria-current=\"page\">Introduction</a>"));
    // The part that the reader is in has its pages, and no other.
    let navigation = |html: &str| between(html, "<nav class=\"nav\"", "</nav>").to_owned();
    assert!(navigation(&page).contains("<h2 class=\"kafka sq\">Kafka</h2><ol>"));
    let closed = "<h2 class=\"kafka sq\"><a href=\"kafka/produce.html\">Kafka</a></h2>";
    assert!(
        navigation(&index).contains(closed),
        "{}",
        navigation(&index)
    );
    assert!(!navigation(&index).contains("consume.html"));
}

#[test]
fn what_a_style_sheet_loads_is_part_of_the_site() {
    let book = Book::new();
    book.append(
        "book/theme/style.css",
        "\n@font-face { src: url(\"../../fonts/a.woff2\"); }\n",
    );
    book.write("book/fonts/a.woff2", "a font");
    book.write("book/fonts/b.woff2", "another");
    build(book.root()).unwrap();
    assert!(book.exists("target/site/fonts/a.woff2"));
    assert!(!book.exists("target/site/fonts/b.woff2"));
}

#[test]
fn a_build_elsewhere_leaves_the_site_and_names_its_programs() {
    let book = Book::new();
    book.replace(
        "book/kafka/consume.md",
        "{{#proof kafka_two}}",
        "`\\{{#proof kafka_two}}`",
    );
    let folder = tempfile::tempdir().unwrap();
    let site = folder.path().join("site");
    let built = build_into(book.root(), &site).unwrap();
    assert_eq!(built.folder, site);
    assert_eq!(built.pages, 5);
    assert_eq!(
        built.programs.into_iter().collect::<Vec<_>>(),
        ["kafka_one"]
    );
    assert!(site.join("kafka/produce.html").is_file());
    assert!(!book.exists("target"));
}

#[test]
fn programs_of_several_days_are_not_called_new() {
    let book = Book::new();
    book.append("book/kafka/consume.md", "\n{{#proof kafka_one}}\n");
    build(book.root()).unwrap();
    let page = book.read("target/site/kafka/consume.html");
    assert!(
        page.contains("last ran 2 November 2026 to 23 November 2026: Apache"),
        "{page}"
    );
    assert!(page.contains("<span>last run 2 November 2026 to 23 November 2026</span>"));
}

#[test]
fn the_repositorys_address_is_one_setting() {
    let (book, page) = built();
    assert!(!page.contains("Edit this page") && !page.contains("Record and history"));
    book.replace(
        "book.toml",
        "[output.html]\n",
        "[output.html]\ngit-repository-url = \"https://example.org/guide/\"\n",
    );
    build(book.root()).unwrap();
    let page = book.read("target/site/kafka/produce.html");
    assert!(page.contains("href=\"https://example.org/guide/edit/main/book/kafka/produce.md\""));
    assert!(page.contains(
        "<a href=\"https://example.org/guide/commits/main/snippets/kafka/output/kafka_one.txt\">Record and history</a>"
    ));
}

#[test]
fn a_page_that_moved_leaves_a_redirect_without_script() {
    let book = Book::new();
    book.append(
        "book.toml",
        "\n[output.html.redirect]\n\"/old.html\" = \"kafka/produce.html\"\n",
    );
    build(book.root()).unwrap();
    let page = book.read("target/site/old.html");
    assert!(page.contains("<meta http-equiv=\"refresh\" content=\"0; URL=kafka/produce.html\">"));
    assert!(page.contains("<link rel=\"canonical\" href=\"kafka/produce.html\">"));
    assert!(!page.contains("<script"));

    book.replace(
        "book.toml",
        "[output.html]\n",
        "[output.html]\nsite-url = \"https://example.org/guide/\"\n",
    );
    build(book.root()).unwrap();
    let page = book.read("target/site/old.html");
    let canonical =
        "<link rel=\"canonical\" href=\"https://example.org/guide/kafka/produce.html\">";
    assert!(page.contains(canonical), "{page}");
    assert!(
        book.read("target/site/kafka/produce.html")
            .contains(canonical)
    );
}

#[test]
fn markdown_has_programs_as_blocks_and_callouts_open() {
    let book = Book::new();
    let chapters = expanded_markdown(book.root()).unwrap();
    let names: Vec<_> = chapters
        .iter()
        .map(|(path, _)| path.to_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "index.md",
            "kafka/produce.md",
            "kafka/consume.md",
            "evidence.md",
            "evidence/kafka.md"
        ]
    );
    let page = &chapters[1].1;
    assert!(
        page.contains("```rust,ignore\nprintln!(\"arrived <b>\");\n\nprintln!(\"done\");\n```\n")
    );
    assert!(page.contains("```rust,no_run\n//! Not lapin::Connection.\nuse anyhow::Result;\n"));
    assert!(page.contains("```sh\ncargo run --example kafka_one\n```\n"));
    assert!(page.contains("```text\narrived <script>alert(1)</script>\n\ndone"));
    assert!(
        page.contains("The record arrives. [run 2] It stays, [source 1] and"),
        "{page}"
    );
    assert!(
        page.contains("**Trap: a page can be wrong**\n") && page.contains("Not this one. [run 4]")
    );
    for markup in ["<figure", "<span", "admonish", "ANCHOR", "{{#ev"] {
        assert!(!page.contains(markup), "{markup} in {page}");
    }
}

#[test]
fn every_page_has_a_markdown_twin() {
    let book = Book::new();
    book.append(
        "book/index.md",
        "\n<div class=\"glance\">\n<h3><a href=\"kafka/consume.html#x\">A log</a></h3>{{#drawing line}}<p>It stays.</p>\n</div>\n",
    );
    book.append("book/kafka/consume.md", "\n## x\n\nHere.\n");
    build(book.root()).unwrap();
    let page = book.read("target/site/kafka/produce.html");
    let link = "<link rel=\"alternate\" type=\"text/markdown\" href=\"produce.md\">";
    assert!(page.contains(link), "{page}");
    let twin = book.read("target/site/index.md");
    assert!(twin.starts_with("# Introduction\n\nWhat this small book is for.\n\nGo to [Produce](kafka/produce.md#the-program).\n"));
    assert!(
        twin.ends_with("\n### [A log](kafka/consume.md#x)\n\n*Drawing: A line.*\n\nIt stays.\n"),
        "{twin}"
    );
    // A panel's address is none in Markdown.
    let twin = book.read("target/site/kafka/consume.md");
    assert!(twin.contains("[its program](produce.md).\n"), "{twin}");
    let twin = book.read("target/site/kafka/produce.md");
    assert!(twin.contains("```sh\ncargo run --example kafka_one\n```\n\n```text\narrived"));
    let sources = twin.split("## Sources\n\n").nth(1).unwrap();
    assert_eq!(
        sources,
        "1. Source: [Design | notes (4.4)](https://example.org/design), read 23 November 2026\n\
         2. Run: `kafka_one` printed `arrived <script>alert(1)</script>`\n\
         3. Run and source: test `a_test_of_the_fixture`; A book, A Publisher, read 24 November 2026\n\
         4. Run: `kafka_list` printed `kafka-one.orders`\n"
    );
}

#[test]
fn llms_txt_lists_the_twins_with_their_descriptions() {
    let (book, _) = built();
    let list = book.read("target/site/llms.txt");
    assert!(list.starts_with("# Messaging Systems Compared\n\n> "));
    let pages = list.split_once("at the page's end.\n").unwrap().1;
    assert_eq!(
        pages,
        "\n- [Introduction](index.md): What this small book is for.\n\n## Kafka\n\n\
         - [Produce](kafka/produce.md): It's a page with \"everything\" on it.\n\
         - [Consume](kafka/consume.md): The whole program, and no excerpt.\n\n## Reference\n\n\
         - [Evidence](evidence.md): Every claim.\n\
         - [Evidence: Kafka](evidence/kafka.md): Every claim about Kafka.\n"
    );
    book.replace(
        "book.toml",
        "[output.html]\n",
        "[output.html]\nsite-url = \"https://example.org/guide/\"\n",
    );
    build(book.root()).unwrap();
    let list = book.read("target/site/llms.txt");
    assert!(list.contains("- [Produce](https://example.org/guide/kafka/produce.md): "));
}

#[test]
fn a_program_without_a_recording_is_still_compiled() {
    let book = Book::new();
    book.remove("snippets/kafka/output/kafka_one.txt");
    let chapters = expanded_markdown(book.root()).unwrap();
    assert!(chapters[1].1.contains("```rust,no_run\n//! Not lapin"));
}

/// A book with a page that shows a matrix.
fn with_matrix() -> Book {
    let book = Book::new();
    book.append("book/SUMMARY.md", "- [Matrix](compare/matrix.md)\n");
    book.write(
        "book/compare/matrix.md",
        "# Matrix\n<!-- description: Four systems. -->\n\n{{#matrix}}\n",
    );
    book.write(
        "book/compare/matrix.toml",
        "[[group]]\nname = \"What it does\"\n\n[[group.row]]\nid = \"model\"\nname = \"Model\"\n\
         kafka = [{ text = \"A `log`\", ev = \"kafka-read\" }, { text = \"it \\\"stays\\\"\", ev = \"kafka-arrives\" }]\n\
         rabbitmq = [{ text = \"R\", ev = \"kafka-tested\" }]\n\
         sqs = [{ text = \"Q\", ev = \"kafka-read\" }]\n\
         sns = [{ text = \"N\", ev = \"kafka-read\" }]\n",
    );
    book
}

#[test]
fn a_matrix_is_a_table_with_marks_and_columns_to_choose() {
    let book = with_matrix();
    build(book.root()).unwrap();
    let page = book.read("target/site/compare/matrix.html");
    let row = between(&page, "<tr id=\"row-model\">", "</tr>").replace('\n', "");
    let mark = |kind: &str, id: &str, n: u8, word: &str| {
        format!(
            "\u{a0}<a class=\"ev {kind}\" href=\"#e-{id}\" data-n=\"{n}\" aria-label=\"Proof {n}: {word}\">{word}</a></span>"
        )
    };
    assert_eq!(
        row,
        format!(
            "<tr id=\"row-model\"><th scope=\"row\">Model</th><td class=\"kafka\" data-s=\"Kafka\">A <code>log</code>\
             <span class=\"nw\">{}; it “stays”<span class=\"nw\">{}</td>\
             <td class=\"rabbitmq\" data-s=\"RabbitMQ\"><span class=\"nw\">R{}</td>\
             <td class=\"sqs\" data-s=\"SQS\"><span class=\"nw\">Q{}</td>\
             <td class=\"sns\" data-s=\"SNS\"><span class=\"nw\">N{}</td></tr>",
            mark("source", "kafka-read", 1, "source"),
            mark("run", "kafka-arrives", 2, "run"),
            mark("both", "kafka-tested", 3, "run + source"),
            mark("source", "kafka-read", 1, "source"),
            mark("source", "kafka-read", 1, "source"),
        )
    );
    assert!(page.contains("<label class=\"sns\"><input type=\"checkbox\" id=\"s-sns\" checked"));
    assert!(page.contains("<th scope=\"rowgroup\" colspan=\"5\">What it does</th>"));
    let twin = book.read("target/site/compare/matrix.md");
    assert!(
        twin.contains("| Model | A `log` [source 1]; it \"stays\" [run 2] | R [run + source 3] |"),
        "{twin}"
    );
    assert!(twin.contains("[CSV](matrix.csv), [JSON](matrix.json)"));
}

#[test]
fn the_data_of_a_matrix_can_be_downloaded_with_its_proofs() {
    let book = with_matrix();
    build(book.root()).unwrap();
    let csv = book.read("target/site/compare/matrix.csv");
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(
        lines[0],
        "group,id,row,system,statement,claim,proven by,proof"
    );
    assert_eq!(
        lines[2],
        "What it does,model,Model,kafka,\"it \"\"stays\"\"\",kafka-arrives,run,kafka_one: arrived \
         <script>alert(1)</script>"
    );
    let json = book.read("target/site/compare/matrix.json");
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows[0]["id"], "model");
    let statement = &rows[0]["rabbitmq"][0];
    assert_eq!(statement["claim"], "kafka-tested");
    assert_eq!(statement["proven_by"], "both");
    assert_eq!(statement["runs"][0]["program"], "a_test_of_the_fixture");
    assert_eq!(statement["sources"][0]["read"], "2026-11-24");
    assert_eq!(rows[0]["kafka"][0]["text"], "A log");
    // What the data are made from is no part of the site.
    assert!(!book.exists("target/site/compare/matrix.toml"));
}

#[test]
fn a_matrix_without_a_proof_or_a_cell_is_no_site() {
    let said = |from: &str, to: &str| {
        let book = with_matrix();
        book.replace("book/compare/matrix.toml", from, to);
        build(book.root()).unwrap_err().to_string()
    };
    assert_eq!(
        said("ev = \"kafka-tested\"", "ev = \"kafka-testd\""),
        "book/compare/matrix.toml:8: unknown claim `kafka-testd`; add [kafka-testd] to a file of book/evidence or \
         correct the id"
    );
    assert_eq!(
        said("sns = [{ text = \"N\", ev = \"kafka-read\" }]\n", ""),
        "book/compare/matrix.toml:4: missing field `sns`; correct it"
    );
    assert_eq!(
        said("[{ text = \"Q\", ev = \"kafka-read\" }]", "[]"),
        "book/compare/matrix.toml:9: the row `model` says nothing of sqs; fill its cell in"
    );
    assert_eq!(
        said("text = \"R\"", "text = \"\""),
        "book/compare/matrix.toml:8: a statement without words; write them"
    );
}

#[test]
fn error_texts_of_all_systems_are_in_one_index() {
    let book = Book::new();
    let page = |text: &str| format!("# Errors by their text\n<!-- description: All. -->\n\n{text}");
    book.append(
        "book/SUMMARY.md",
        "- [Kafka](kafka/errors.md)\n- [SQS](sqs/errors.md)\n- [All](all/errors.md)\n",
    );
    book.write(
        "book/kafka/errors.md",
        &page("## It fails\n\n### `%1 is | wrong`\n\nx\n\n### `b` or `A`\n\nx\n"),
    );
    book.write(
        "book/sqs/errors.md",
        &page("## Here\n\n### `Again: it fails`\n\nx\n"),
    );
    book.write("book/all/errors.md", &page("{{#errors}}\n"));
    build(book.root()).unwrap();
    let html = book.read("target/site/all/errors.html");
    let list = between(&html, "</header>\n<ul>", "</ul>").replace('\n', "");
    let entry = |page: &str, text: &str, rest: &str| {
        format!("<li><a href=\"../{page}\"><code>{text}</code></a> <small>{rest}</small></li>")
    };
    assert_eq!(
        list,
        format!(
            "</header><ul>{}{}{}{}</ul>",
            entry(
                "kafka/errors.html#1-is--wrong",
                "%1 is | wrong",
                "Kafka: It fails"
            ),
            entry("kafka/errors.html#b-or-a", "A", "Kafka: It fails"),
            entry(
                "sqs/errors.html#again-it-fails",
                "Again: it fails",
                "SQS: Here"
            ),
            entry("kafka/errors.html#b-or-a", "b", "Kafka: It fails"),
        )
    );
    let twin = book.read("target/site/all/errors.md");
    assert!(
        twin.contains("- [`A`](../kafka/errors.md#b-or-a) Kafka: It fails\n"),
        "{twin}"
    );
}

#[test]
fn a_table_says_how_it_is_shown_on_a_phone() {
    let book = Book::new();
    let numbers = format!(
        "| a |{}\n|---|{}\n| x |{}\n",
        " n |".repeat(7),
        "--:|".repeat(7),
        " 1 |".repeat(7)
    );
    let table = "| In | It `is` | There |\n|---|---|---|\n| a | b | c |\n";
    let pair = "| a | b |\n|---|---|\n| c | d |\n";
    book.append("book/index.md", &format!("\n{table}\n{numbers}\n{pair}"));
    build(book.root()).unwrap();
    let page = book.read("target/site/index.html").replace('\n', "");
    assert!(page.contains("<table class=\"rows\">"), "{page}");
    assert!(page.contains("<td>a</td><td data-s=\"It is\">b</td><td data-s=\"There\">c</td>"));
    assert!(page.contains("<table class=\"counts\">"));
    assert!(page.contains("<td>c</td><td>d</td>"));
}

#[test]
fn a_readme_is_the_page_of_its_folder() {
    let book = Book::new();
    book.write(
        "book/sub/README.md",
        "# Sub {#own .cls}\n<!-- description: It is *so*. -->\n\n![x](x.svg)\n",
    );
    book.write(
        "book/sub/x.svg",
        "<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
    );
    book.append("book/SUMMARY.md", "- [Sub](sub/README.md)\n");
    build(book.root()).unwrap();
    let page = book.read("target/site/sub/index.html");
    assert!(
        page.contains("<a href=\"../sub/index.html\" aria-current=\"page\">Sub</a>"),
        "{page}"
    );
    assert!(page.contains("href=\"index.md\"") && book.exists("target/site/sub/index.md"));
    let title = "<h1 id=\"own\" class=\"cls\"><a class=\"header\" href=\"#own\">Sub</a></h1>";
    assert!(page.contains(title), "{page}");
    assert_eq!(page.matches("<img").count(), 1, "{page}");
    assert!(!page.contains("checkbox"));
}

#[test]
fn the_page_for_what_is_missing_lies_where_the_site_does() {
    let book = Book::new();
    book.replace("book.toml", "input-404", "site-url = \"/x/\"\ninput-404");
    build(book.root()).unwrap();
    let page = book.read("target/site/404.html");
    assert!(page.contains("href=\"/x/index.html\""), "{page}");
}

#[test]
fn a_callout_stays_in_its_container() {
    let book = Book::new();
    let callout = "```admonish trap\n\tText.\n\t```\n";
    let quote = "> ```admonish version\n> In it.\n> ```\n";
    book.append(
        "book/index.md",
        &format!("\n-\tItem\n\n\t{callout}\n{quote}"),
    );
    build(book.root()).unwrap();
    let page = book.read("target/site/index.html").replace('\n', "");
    let item = between(&page, "<li><p>Item</p>", "</li>");
    assert!(
        item.contains("admonish-trap") && item.contains("<p>Text.</p>"),
        "{item}"
    );
    let quote = between(&page, "<blockquote>", "</blockquote>");
    assert!(
        quote.contains("admonish-version") && quote.contains("<p>In it.</p>"),
        "{quote}"
    );
}
