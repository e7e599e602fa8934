//! The models of the interactive parts against what real brokers did: every case of every trace, and
//! what the views print against what the pages show.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, ensure};
use regex::Regex;
use tests::{
    interactive::{self, FOLDER, Workbench},
    root,
    traces::Trace,
};

/// Fewer would be a trace that lost its cases.
const LEAST: [(&str, usize); 8] = [
    ("acks", 120),
    ("exchange", 413),
    ("filter", 62 + 12),
    ("groups", 60),
    ("keys", 330),
    ("log", 60),
    ("stories", 15),
    ("visibility", 76),
];

/// The cases in which an emulator differs from its maker's documentation, by trace.
fn listed() -> Result<BTreeMap<String, Vec<String>>> {
    let file = root().join(FOLDER).join("differences.toml");
    let table: toml::Table = fs::read_to_string(file)?.parse()?;
    let mut listed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for difference in table["difference"].as_array().context("no list")? {
        let trace = difference["trace"].as_str().context("no trace")?;
        let cases = difference["cases"].as_array().context("no cases")?;
        let cases = cases.iter().filter_map(|case| case.as_str());
        let of_trace = listed.entry(trace.to_owned()).or_default();
        of_trace.extend(cases.map(str::to_owned));
    }
    listed.values_mut().for_each(|cases| cases.sort());
    Ok(listed)
}

#[tokio::test]
async fn each_model_does_what_the_broker_did() -> Result<()> {
    let root = root();
    let workbench = Workbench::open(&root).await?;
    let listed = listed()?;
    let names = interactive::traces(&root)?;
    for (name, least) in LEAST {
        ensure!(names.iter().any(|n| n == name), "the trace {name} is gone");
        let cases = Trace::load(&root, name)?.inputs.len();
        ensure!(cases >= least, "{name}: {cases} of {least} cases");
    }
    let mut wrong = Vec::new();
    for name in names {
        let trace = Trace::load(&root, &name)?;
        let model = workbench.replayed(&name).await;
        let model = model.with_context(|| format!("{name} was not replayed"))?;
        let differing = interactive::differing(&trace, &model)?;
        let listed = listed.get(&name).cloned().unwrap_or_default();
        for case in differing.iter().filter(|case| !listed.contains(case)) {
            wrong.push(format!("{name}: the broker did otherwise: {case}"));
        }
        for case in listed.iter().filter(|case| !differing.contains(*case)) {
            wrong.push(format!("{name}: no longer differs, remove it: {case}"));
        }
        println!(
            "{name}: {} cases, {} differ",
            trace.inputs.len(),
            differing.len()
        );
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn what_pages_show_without_scripts_is_what_the_views_print() -> Result<()> {
    let root = root();
    let workbench = Workbench::open(&root).await?;
    for name in interactive::parts(&root)? {
        let file = root.join(FOLDER).join(format!("printed/{name}.json"));
        let kept = fs::read_to_string(&file).unwrap_or_default();
        let printed = workbench.printed(&name).await?;
        ensure!(
            kept == printed,
            "the view {name} prints otherwise than {}; print it anew with `cargo run --bin record \
             printed`",
            file.display()
        );
    }
    Ok(())
}

/// Bytes of a part's model and view, each compressed as a host does it.
const SIZES: &str = r#"
const packed = async (file) => {
  const text = await (await fetch(file)).blob();
  return (await new Response(text.stream().pipeThrough(new CompressionStream("gzip"))).blob()).size;
};
return (await packed("/interactive/model/NAME.js")) + (await packed("/interactive/view/NAME.js"));
"#;

#[tokio::test]
async fn each_part_has_at_most_six_kilobytes() -> Result<()> {
    let root = root();
    let workbench = Workbench::open(&root).await?;
    for name in interactive::parts(&root)? {
        let bytes = workbench.evaluate(&SIZES.replace("NAME", &name)).await?;
        println!("{name}: {bytes} bytes");
        ensure!(
            bytes.as_u64().is_some_and(|bytes| bytes <= 6000),
            "{name}: {bytes} bytes"
        );
    }
    Ok(())
}

/// Every combination of answers: nothing is hidden, and the sentence is whole. Then answers with the
/// systems that come first.
const CHOICES: &str = r#"
const { questions, together, rank, sentence, systems, path } = await import("/interactive/model/choose.js");
const wrong = [], all = questions.reduce((list, q) => list.flatMap((a) => [a, ...Object.keys(q.answers).map((v) => ({ ...a, [q.id]: v }))]), [{}]);
for (const q of questions) for (const [, points] of Object.values(q.answers)) {
  if (points.length && systems.some((s) => !points.some((p) => p.system === s))) wrong.push(q.ask + " does not speak of every system");
}
for (const a of all) {
  const shown = rank(a).reduce((n, s) => n + s.points.length, 0), both = together.filter(([b]) => Object.entries(b).every(([k, v]) => a[k] === v)).length;
  const points = both + questions.reduce((n, q) => n + (q.answers[a[q.id]]?.[1].length ?? 0), 0);
  if (shown !== points || /undefined|null|,,/.test(sentence(a))) wrong.push(JSON.stringify(a) + ": " + sentence(a));
}
// What the five questions of the page say, written down apart from the model. Outside AWS, or with an
// answer that the system cannot give, a question is passed over.
const large = (a) => a.size === "large", said = (a) =>
  a.replay === "yes" ? "Kafka"
  : a.host === "aws" && (a.readers === "many" || a.readers === "push") && !large(a) ? "SNS"
  : a.host === "aws" && a.readers === "one" && a.route !== "yes" && !large(a) ? "SQS"
  : a.priority === "yes" || a.route === "yes" ? "RabbitMQ" : undefined;
const told = {}, only = (a) => ["SQS", "SNS"].filter((name) => new RegExp("(take|and|,) " + name + "\b.* tie|take " + name + "\b|" + name + ".* tie at").test(sentence(a)));
for (const a of all) {
  const [first] = rank(a), by = said(a), text = JSON.stringify(a) + ": " + sentence(a);
  told[by ?? "the points"] = (told[by ?? "the points"] ?? 0) + 1;
  if (by && (first.name !== by || !sentence(a).startsWith("We take " + by + ":"))) wrong.push("the page says " + by + ", " + text);
  if (!by && (first.decided || /of the five decides/.test(sentence(a)))) wrong.push("the page leaves it to the points, " + text);
  if (first.cannot.length) wrong.push("first, and cannot, " + text);
  if (a.host === "own" && (only(a).length || / In AWS, /.test(sentence(a)))) wrong.push("a service of AWS for someone outside, " + text);
  if (!a.host && only(a).length && !/only in AWS/.test(sentence(a))) wrong.push("AWS taken for granted, " + text);
}
const first = [
  [{}, "No answer"], [{ replay: "yes" }, "We take Kafka"], [{ readers: "one", host: "aws", fail: "yes" }, "We take SQS"],
  [{ readers: "many", host: "aws", fail: "yes" }, "SNS with an SQS queue"], [{ readers: "one", host: "own", route: "yes", fail: "yes" }, "We take RabbitMQ"],
  [{ readers: "push", host: "own" }, "Out are SNS"], [{ readers: "push", host: "aws" }, "We take SNS"], [{ replay: "yes", route: "yes", size: "large" }, "RabbitMQ has +4"],
  [{ readers: "many" }, "Kafka, RabbitMQ and SNS tie at +2"], [{ readers: "many", replay: "yes", order: "yes" }, "We take Kafka"],
  [{ host: "own" }, "Kafka and RabbitMQ tie at +1"], [{ size: "large" }, "We take RabbitMQ"], [{ size: "small" }, "No answer"], [{ order: "yes" }, "We take Kafka"],
  [{ route: "yes" }, "Out is SQS"], [{ fail: "yes", readers: "one" }, "RabbitMQ and SQS tie at +4"], [{ readers: "one", priority: "yes" }, "We take RabbitMQ"],
  [{ readers: "one", replay: "yes", host: "aws", route: "yes", size: "large" }, "We take Kafka"],
];
for (const [answers, says] of first) if (!sentence(answers).includes(says)) wrong.push(JSON.stringify(answers) + ": " + sentence(answers));
return { count: all.length, told, wrong: wrong.slice(0, 20), faults: wrong.length, takes: path.map((s) => s.take) };
"#;

/// The systems that a text names after a word, in order.
fn named_after(text: &str, before: &str) -> Result<Vec<String>> {
    let named = Regex::new(&format!(r"{before}\s*(Kafka|RabbitMQ|SQS|SNS)\b"))?;
    Ok(named
        .captures_iter(text)
        .map(|found| found[1].to_owned())
        .collect())
}

#[tokio::test]
async fn every_choice_gives_a_whole_answer() -> Result<()> {
    let workbench = Workbench::open(&root()).await?;
    let choices = workbench.evaluate(CHOICES).await?;
    println!("{} combinations: {}", choices["count"], choices["told"]);
    let wrong = choices["wrong"].as_array().context("no list")?;
    ensure!(wrong.is_empty(), "{} faults: {wrong:#?}", choices["faults"]);
    // The text and the drawing ask in the order of the model.
    let takes = choices["takes"].as_array().context("no path")?;
    let takes: Vec<&str> = takes.iter().filter_map(|take| take.as_str()).collect();
    let book = root().join("book");
    let page = fs::read_to_string(book.join("compare/how-to-choose.md"))?;
    let questions = page.split("## ").find(|part| part.starts_with("Five"));
    let text = named_after(questions.context("no five questions")?, "Take")?;
    ensure!(
        text == takes,
        "the text takes {text:?}, the model {takes:?}"
    );
    let drawing = fs::read_to_string(book.join("drawings/choose-path.svg"))?;
    let drawn = named_after(&drawing, r#"font-weight="600">"#)?;
    ensure!(
        drawn == takes,
        "the drawing takes {drawn:?}, the model {takes:?}"
    );
    let described = named_after(&drawing, "yes, take")?;
    ensure!(
        described == takes,
        "the drawing's text takes {described:?}, the model {takes:?}"
    );
    Ok(())
}
