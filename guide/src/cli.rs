//! The command line.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use jiff::civil::Date;
use mdbook_preprocessor::Preprocessor;

use crate::{
    build,
    check::{search_quality as quality, stale},
    model::ledger::{FRESH_DAYS, judged},
    model::options::{Options, today},
    serve,
    stock::Guide,
    text::terminal::{one_line_each, say, warn},
};

/// Builds the guide and serves it on this machine, with a reload in the browser after each save.
#[derive(Parser)]
#[command(name = "guide", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The port on 127.0.0.1, 3000 when not given; 0 takes a free one.
    #[arg(long)]
    port: Option<u16>,
    /// Opens the guide in the browser.
    #[arg(long)]
    open: bool,
    /// The project's folder, where book.toml is; by default this folder or one above it.
    #[arg(long, global = true)]
    root: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Writes the site to target/site.
    Build {
        /// Also makes a social card for each page, an EPUB and a PDF; needs Chromium.
        #[arg(long)]
        all: bool,
        /// The address of the published site, instead of `site-url` in book.toml.
        #[arg(long, value_name = "ADDRESS")]
        site: Option<String>,
        /// The day that counts as today, such as 2026-11-25.
        #[arg(long)]
        as_of: Option<Date>,
    },
    /// Lists the sources that were read too long ago, the oldest first.
    Stale {
        /// How many days ago is too long.
        #[arg(long, default_value_t = FRESH_DAYS)]
        days: i32,
        /// The day that counts as today, such as 2026-11-25.
        #[arg(long)]
        as_of: Option<Date>,
    },
    /// Lists the claims that nobody has held against their proof as both are now.
    Unjudged,
    /// Notes that claims were held against their proofs today, each by its id.
    Judge {
        /// The ids of the claims.
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Asks the search a set of queries and prints how often the right page comes first; needs node.
    SearchQuality {
        /// Also asks stock mdBook's index and Pagefind of the same pages; needs npm, and the network once.
        #[arg(long)]
        peers: bool,
        /// Also tells the failures of the half that the search is not improved by.
        #[arg(long)]
        held_back: bool,
        /// Another file of queries: on each line a query, a tab, and the pages that answer it.
        #[arg(long)]
        queries: Option<PathBuf>,
    },
    /// Expands the chapters for stock mdBook, which names this command in book.toml.
    Preprocess {
        #[command(subcommand)]
        question: Option<Question>,
    },
}

/// What mdBook asks before it sends the book.
#[derive(Subcommand)]
enum Question {
    /// Whether the chapters of a renderer can be expanded.
    Supports {
        /// `html`, or any other: the guide expands a book for every renderer.
        renderer: String,
    },
}

/// Runs the command line; errors go to stderr, one line each, with exit code 1.
pub fn run() -> ExitCode {
    match execute(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            warn(&one_line_each(&error));
            ExitCode::FAILURE
        }
    }
}

fn execute(cli: &Cli) -> Result<()> {
    match &cli.command {
        None => serve::serve(&root(cli)?, cli.port.unwrap_or(3000), cli.open),
        Some(_) if cli.open || cli.port.is_some() => {
            bail!("--open and --port are for serving; leave them or the command out")
        }
        Some(Command::Build { all, site, as_of }) => {
            let options = Options {
                editions: *all,
                site: site.clone(),
                today: as_of.unwrap_or_else(today),
                live: None,
            };
            say(&build::build_with(&root(cli)?, &options)?.to_string());
            Ok(())
        }
        Some(Command::Stale { days, as_of }) => {
            let (book, _) = build::survey_on(&root(cli)?, as_of.unwrap_or_else(today))?;
            stale::lines(&book, *days).iter().for_each(|line| say(line));
            Ok(())
        }
        Some(Command::Unjudged) => {
            let (book, _) = build::survey(&root(cli)?)?;
            let lines = judged::lines(&book.ledger, &book.programs);
            lines.iter().for_each(|line| say(line));
            Ok(())
        }
        Some(Command::Judge { ids }) => {
            let root = root(cli)?;
            let (book, _) = build::survey(&root)?;
            let on = today().to_string();
            judged::mark(&root, &book.ledger, &book.programs, ids, &on)
        }
        Some(Command::SearchQuality {
            peers,
            held_back,
            queries,
        }) => quality::run(
            &root(cli)?,
            &quality::Options {
                peers: *peers,
                held_back: *held_back,
                queries: queries.clone(),
            },
        ),
        Some(Command::Preprocess { question: None }) => preprocess(),
        Some(Command::Preprocess {
            question: Some(Question::Supports { .. }),
        }) => Ok(()),
    }
}

fn preprocess() -> Result<()> {
    let (context, book) = mdbook_preprocessor::parse_input(io::stdin())?;
    let book = Guide::new(today()).run(&context, book)?;
    serde_json::to_writer(io::stdout(), &book).context("cannot return the book to mdBook")
}

fn root(cli: &Cli) -> Result<PathBuf> {
    if let Some(root) = &cli.root {
        return Ok(root.canonicalize().unwrap_or_else(|_| root.clone()));
    }
    let here = std::env::current_dir().context("cannot read the current folder")?;
    let mut folders = here.ancestors();
    let found = folders.find(|folder| folder.join("book.toml").is_file());
    found.map(Path::to_owned).with_context(|| {
        let here = here.display();
        format!("no book.toml in {here} or above it; run in the project's folder or give --root")
    })
}
