//! The programs of a project, their records and their systems.

use guide::examples::{Example, Kind, System};

use crate::support::Book;

const RECORD: &str = "snippets/kafka/output/kafka_two.toml";

fn varies(record: &str) -> Result<Vec<(usize, String)>, guide::errors::Complaint> {
    let book = Book::new();
    book.write(RECORD, record);
    let example = Example::find(book.root(), "kafka_two").unwrap();
    let varies = example.varies(book.root())?.into_iter();
    Ok(varies.map(|varies| (varies.line, varies.pattern)).collect())
}

#[test]
fn all_programs_are_found_by_name() {
    let book = Book::new();
    book.write("snippets/patterns/examples/sns_order.rs", "fn main() {}");
    book.write("snippets/kafka/examples/.#kafka_two.rs", "an editor's");
    book.write("snippets/kafka/tests/kafka_mock.rs", "");
    let all = Example::all(book.root()).unwrap();
    let names = all.iter().map(|e| (e.name.as_str(), e.kind, e.system()));
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            ("kafka_list", Kind::Transcript, System::Kafka),
            ("kafka_mock", Kind::Test, System::Kafka),
            ("kafka_one", Kind::Program, System::Kafka),
            ("kafka_two", Kind::Program, System::Kafka),
            ("sns_order", Kind::Program, System::Sns)
        ]
    );
}

#[test]
fn programs_that_cannot_be_run_by_name() {
    for (file, message) in [
        (
            "snippets/kafka/examples/kafka_three/main.rs",
            "snippets/kafka/examples/kafka_three is a folder with main.rs; write one file \
             snippets/kafka/examples/kafka_three.rs",
        ),
        (
            "snippets/patterns/examples/order.rs",
            "snippets/patterns/examples/order.rs belongs to no system; begin its name with one of \
             kafka_, rabbitmq_, sqs_, sns_",
        ),
        (
            "snippets/sqs/examples/kafka_one.rs",
            "snippets/kafka/examples/kafka_one.rs and snippets/sqs/examples/kafka_one.rs have one \
             name; rename one",
        ),
    ] {
        let book = Book::new();
        book.write(file, "fn main() {}");
        assert_eq!(Example::all(book.root()).unwrap_err().to_string(), message);
    }
}

#[test]
fn what_varies_can_be_written_before_the_first_recording() {
    let line = "varies = [{ line = 2, pattern = \"id .*\" }]\n";
    let expected = Ok(vec![(2, "id .*".to_owned())]);
    assert_eq!(varies(line), expected);
    assert_eq!(varies(&format!("recorded = 2026-11-23\n{line}")), expected);
    let book = Book::new();
    book.remove(RECORD);
    let example = Example::find(book.root(), "kafka_two").unwrap();
    assert!(example.varies(book.root()).unwrap().is_empty());
}

#[test]
fn a_wrong_record_is_named() {
    for (record, message) in [
        ("vary = 1", "unknown field `vary`"),
        (
            "varies = [{ line = 1, patern = \"x\" }]",
            "unknown field `patern`",
        ),
        ("varies = [", ""),
        (
            "varies = [{ line = 1, pattern = \"(\" }]",
            "the pattern \"(\" is no regular expression: error: unclosed group",
        ),
        (
            "varies = [{ line = 0, pattern = \"x\" }]",
            "lines count from 1",
        ),
    ] {
        let said = varies(record).unwrap_err().to_string();
        assert!(said.starts_with(&format!("{RECORD}: ")), "{said}");
        assert!(
            said.contains(message) && said.ends_with("; correct it"),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
