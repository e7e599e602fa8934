//! The models of the interactive parts against what real brokers did: every case of every trace, and
//! what the views print against what the pages show.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, ensure};
use tests::{
    interactive::{self, FOLDER, Workbench},
    root,
    traces::Trace,
};

/// Fewer would be a trace that lost its cases.
const LEAST: [(&str, usize); 6] = [
    ("exchange", 413),
    ("filter", 62 + 12),
    ("groups", 60),
    ("keys", 330),
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
