//! `{{#matrix}}`: the table of the four systems from the data beside the page.

use super::{Format, PageContent};
use crate::{
    model::{
        matrix::{Group, Matrix, Row, Statement},
        program::System,
    },
    text::{markup, problem::Problem},
};

/// The matrix of a page with its marks and the links to its data.
pub fn expand(content: &mut PageContent<'_>, matrix: &Matrix) -> String {
    let file = content.book.file(content.page).with_extension("toml");
    for (line, message) in matrix.problems(&content.book.ledger) {
        content.problems.push(Problem::new(&file, line, message));
    }
    let name = content.page.source.file_stem().unwrap_or_default();
    let name = markup::attribute(&name.to_string_lossy());
    match content.format {
        Format::Html => html(content, matrix, &name),
        Format::Markdown => markdown(content, matrix, &name),
    }
}

fn html(content: &mut PageContent<'_>, matrix: &Matrix, name: &str) -> String {
    let each = |html: &dyn Fn(&str, &str) -> String| -> String {
        let columns = System::ALL
            .iter()
            .map(|system| html(system.name(), system.title()));
        columns.collect()
    };
    let boxes = each(&|class, title| {
        format!(
            r#"<label class="{class}"><input type="checkbox" id="s-{class}" checked>{title}</label>"#
        )
    });
    let columns = each(&|class, _| format!(r#"<col class="{class}">"#));
    let heads = each(&|class, title| format!(r#"<th scope="col" class="{class}">{title}</th>"#));
    let mut table = format!(
        r#"<div class="matrix-box wide"><fieldset class="show"><legend>Compare</legend>{boxes}</fieldset><table class="matrix"><colgroup><col>{columns}</colgroup><thead><tr><td></td>{heads}</tr></thead>"#
    );
    for Group { name, row } in &matrix.groups {
        let name = markup::inline(name);
        table += &format!(
            r#"<tbody><tr class="group"><th scope="rowgroup" colspan="5">{name}</th></tr>"#
        );
        for row in row {
            table += &row_html(content, row);
        }
        table += "</tbody>";
    }
    table
        + &format!(
            r#"</table><p class="key">The table as data: <a href="{name}.csv">CSV</a>, <a href="{name}.json">JSON</a>.</p></div>"#
        )
}

fn row_html(content: &mut PageContent<'_>, row: &Row) -> String {
    let (id, name) = (
        markup::attribute(row.id.get_ref()),
        markup::inline(&row.name),
    );
    let mut html = format!(r#"<tr id="row-{id}"><th scope="row">{name}</th>"#);
    for system in System::ALL {
        let (class, title) = (system.name(), system.title());
        let cell = cell(content, row.cell(system), markup::inline);
        html += &format!(r#"<td class="{class}" data-s="{title}">{cell}</td>"#);
    }
    html + "</tr>"
}

fn markdown(content: &mut PageContent<'_>, matrix: &Matrix, name: &str) -> String {
    let heads = System::ALL.map(System::title).join(" | ");
    let mut table = format!("| | {heads} |\n|---|---|---|---|---|\n");
    for Group { name, row } in &matrix.groups {
        table += &format!("| **{name}** | | | | |\n");
        for row in row {
            let cells = System::ALL.map(|system| cell(content, row.cell(system), str::to_owned));
            table += &format!("| {} | {} |\n", row.name, cells.join(" | "));
        }
    }
    table + &format!("\nThe table as data: [CSV]({name}.csv), [JSON]({name}.json).\n")
}

/// The statements of a cell, each with its mark. An unknown claim has been reported.
fn cell(
    content: &mut PageContent<'_>,
    statements: &[Statement],
    words: impl Fn(&str) -> String,
) -> String {
    let mut cell = String::new();
    for statement in statements {
        if !cell.is_empty() {
            cell.push_str("; ");
        }
        cell.push_str(&words(&statement.text));
        cell.push(' ');
        let _ = content.mark(&mut cell, statement.ev.get_ref());
    }
    cell
}
