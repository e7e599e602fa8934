//! Fault experiments on pages: their panels, their tables and their chart, and claims that rest on
//! them.

use crate::support::Book;
use guide::build::build;

const PAGE: &str = "book/kafka/consume.md";
const LEDGER: &str = "book/evidence/kafka.toml";

const CLAIM: &str = "\n[kafka-pause-keeps]\nclaim = \"A pause loses nothing.\"\n\
                     run = { guarantee = \"kafka_pause\", shows = \"no record is lost\" }\n";

/// The page, or what is wrong with it, with some text and a claim at its end.
fn page_with(text: &str, claim: &str) -> Result<String, String> {
    let book = Book::new();
    book.append(PAGE, &format!("\n\n{text}\n"));
    book.append(LEDGER, claim);
    match build(book.root()) {
        Ok(_) => Ok(book.read("target/site/kafka/consume.html")),
        Err(error) => Err(format!("{error:#}")),
    }
}

#[test]
fn a_panel_shows_the_experiment_and_what_it_printed() {
    let page = page_with("{{#proof kafka_pause:fault}}", "").unwrap();
    for part in [
        "id=\"proof-kafka_pause\"",
        "<code>tests/<wbr>src/<wbr>guarantees/<wbr>kafka_pause.rs</code>",
        "cargo run <span class=\"nw\">--bin</span> guarantees kafka_pause",
        "no record is lost</samp>",
        "Recorded 25 November 2026, Apache Kafka 4.4.0, rdkafka 0.39.0. Line 1 differs from run to run.",
    ] {
        assert!(page.contains(part), "no {part} in {page}");
    }
    assert!(!page.contains("cargo add"), "an experiment is not pasted");
}

#[test]
fn a_table_has_a_row_for_each_case_and_a_number_for_each_run_that_differs() {
    let page = page_with("{{#guarantee kafka_pause}}", "").unwrap();
    assert!(page.contains("<strong>2\u{a0}/\u{a0}3</strong>"));
    let page = page.replace("<strong>", "").replace("</strong>", "");
    let rows: Vec<_> = page.split("<tr>").skip(1).collect();
    let cells = |row: &str| -> Vec<String> {
        let cells = row
            .split("</td>")
            .filter_map(|cell| cell.rsplit('>').next());
        cells.map(|cell| cell.trim().to_owned()).collect()
    };
    let rows: Vec<_> = rows[rows.len() - 2..]
        .iter()
        .map(|row| cells(row))
        .collect();
    let expected = [
        "acks=all",
        "0",
        "2\u{a0}/\u{a0}3",
        "0",
        "5.0\u{a0}/\u{a0}5.5\u{a0}s",
        "100",
        "100",
        "100",
    ];
    assert_eq!(rows[0][..8], expected);
    assert_eq!(rows[1][4..7], ["–", "9", "0"]);
}

#[test]
fn a_chart_has_a_bar_for_each_stall() {
    let page = page_with("{{#stalls kafka_pause | **Stalls.** In seconds.}}", "").unwrap();
    assert_eq!(page.matches("v11h-").count(), 1, "{page}");
    assert!(page.contains("Kafka: broker paused, acks=all: 5.0\u{a0}/\u{a0}5.5\u{a0}s."));
    assert!(page.contains("<figcaption><strong>Stalls.</strong> In seconds.</figcaption>"));
}

#[test]
fn a_claim_rests_on_a_conclusion() {
    let text = "{{#proof kafka_pause}}\n\nNothing is lost. {{#ev kafka-pause-keeps}}";
    let page = page_with(text, CLAIM).unwrap();
    assert!(page.contains("<a href=\"#proof-kafka_pause\"><code>kafka_pause</code></a>: <samp>no record is lost</samp>"));
}

#[test]
fn a_claim_cannot_rest_on_numbers_that_differ() {
    let line = "acks=all: sent 100, confirmed 100, received 100, lost 0, repeated 3, reordered 0, \
                longest stall 5.5 s";
    let claim = CLAIM.replace("no record is lost", line);
    let error = page_with("Nothing is lost. {{#ev kafka-pause-keeps}}", &claim).unwrap_err();
    assert!(
        error.contains("line 1 of the output of kafka_pause differs from run to run"),
        "{error}"
    );
}

#[test]
fn an_unknown_guarantee() {
    for directive in ["guarantee kafka_gone", "stalls kafka_gone"] {
        let error = page_with(&format!("{{{{#{directive}}}}}"), "").unwrap_err();
        let told = "no guarantee tests/guarantees/kafka_gone.toml; correct the name, or record one";
        assert!(error.contains(told), "{error}");
    }
    let claim = CLAIM.replace("kafka_pause", "kafka_gone");
    let error = page_with("Nothing is lost. {{#ev kafka-pause-keeps}}", &claim).unwrap_err();
    assert!(
        error.contains("and no guarantee; write it or correct the name"),
        "{error}"
    );
}

#[test]
fn a_guarantee_under_the_wrong_key() {
    let claim = CLAIM.replace("guarantee =", "example =");
    let error = page_with("Nothing is lost. {{#ev kafka-pause-keeps}}", &claim).unwrap_err();
    let told = "`kafka_pause` is tests/src/guarantees/kafka_pause.rs; correct the key of the run";
    assert!(error.contains(told), "{error}");
}
