//! The index of the search: what a reader's query needs of it comes in small pieces, and nothing of it
//! before the first query.
//!
//! `search/search.js` is the code with the list of the pieces. The words lie in sorted pieces (`wN`), the
//! headings of the pages in others (`hN`), their sentences in a third kind (`tPAGE.N`), of which only those
//! of the hits on the screen are loaded; the words as they are written (`v`) serve when a query has one that
//! the guide has not. One hash of all stands in each piece's name.

mod counts;
mod pieces;
mod sections;
mod synonyms;
mod words;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, Result};
use counts::{Averages, Counts, Whole};
use serde_json::json;
pub use words::{of as words, stem};

/// The code that reads the index.
const SCRIPT: &str = concat!(include_str!("stem.js"), include_str!("search.js"));

/// Pages that lead on when nothing is found, those that there are.
const WAYS: [&str; 4] = [
    "compare/how-to-choose.html",
    "reference/questions.html",
    "reference/errors.html",
    "reference/glossary.html",
];

/// A page as the index takes it.
pub struct Page {
    /// Relative to the site's root.
    pub address: String,
    /// The title of its part.
    pub part: String,
    /// The name of the system that it is about.
    pub system: Option<&'static str>,
    /// What it says.
    pub content: Arc<Content>,
}

/// What a page says.
pub struct Content {
    sections: Vec<sections::Section>,
    counts: Vec<Counts>,
    whole: Whole,
    /// The stems of titles, headings and keywords that have several, in one, with the section and what it is
    /// worth that a query has them side by side.
    phrases: Vec<(String, usize, f32)>,
    /// The words of the text as they are written, with how often.
    vocabulary: HashMap<String, u32>,
}

impl Page {
    /// Whether it only lists what other pages say.
    fn is_evidence(&self) -> bool {
        self.address.starts_with("evidence")
    }
}

impl Content {
    /// Reads a rendered page; `keywords` are apart by commas.
    ///
    /// # Errors
    /// The page can't be parsed.
    pub fn of(html: &str, description: &str, keywords: &str) -> Result<Self> {
        let sections = sections::of(html)?;
        let counts = sections.iter().enumerate().map(|(number, section)| {
            let is_head = number == 0;
            let of_head = |text| if is_head { text } else { "" };
            Counts::of(section, of_head(description), of_head(keywords))
        });
        let counts: Vec<_> = counts.collect();
        let mut vocabulary = HashMap::new();
        let of_sections = sections.iter();
        let texts = of_sections.flat_map(|section| [&*section.heading, &*section.prose]);
        for word in texts.chain([keywords]).flat_map(words::of) {
            *vocabulary.entry(word).or_default() += 1;
        }
        Ok(Self {
            whole: Whole::of(&counts),
            phrases: phrases(&sections, keywords),
            sections,
            counts,
            vocabulary,
        })
    }
}

/// What a phrase is worth in a title or among the keywords, and in a heading.
const IN_TITLE: f32 = 4.0;
const IN_HEADING: f32 = 2.5;
/// Longer ones are sentences.
const LONGEST_PHRASE: usize = 4;

fn phrases(sections: &[sections::Section], keywords: &str) -> Vec<(String, usize, f32)> {
    let title = sections.first().map_or("", |head| head.heading.as_str());
    let of_sections = sections.iter().enumerate().map(|(number, section)| {
        let worth = if number == 0 { IN_TITLE } else { IN_HEADING };
        (section.heading.as_str(), number, worth)
    });
    let of_keywords = keywords.split(',').map(|keyword| (keyword, 0, IN_TITLE));
    let phrase = |(text, section, worth)| {
        let telling = words::of(text).filter(|word| !words::is_stop(word));
        let mut stems: Vec<String> = telling.map(|word| words::stem(&word)).collect();
        // Whoever types only a page's title means that page.
        let shortest = if text == title { 1 } else { 2 };
        let is_phrase = (shortest..=LONGEST_PHRASE).contains(&stems.len());
        // In whatever order they are typed.
        stems.sort_unstable();
        is_phrase.then(|| (format!("+{}", stems.concat()), section, worth))
    };
    let phrases = of_sections.chain(of_keywords).filter_map(phrase);
    let mut best: BTreeMap<String, (usize, f32)> = BTreeMap::new();
    for (phrase, section, worth) in phrases {
        let known = best.entry(phrase).or_insert((section, worth));
        if known.1 < worth {
            *known = (section, worth);
        }
    }
    let best = best.into_iter();
    best.map(|(phrase, (section, worth))| (phrase, section, worth))
        .collect()
}

/// The pages with the names of the systems.
struct Index<'a> {
    pages: Vec<Page>,
    systems: &'a [&'static str],
    /// Makes the id of a heading.
    id_of: fn(&str) -> String,
}

/// Writes the index of the pages below the site's folder. `systems` are their names, `id_of` makes the id
/// of a heading.
///
/// # Errors
/// A file can't be written.
pub fn write(
    pages: Vec<Page>,
    systems: &[&'static str],
    id_of: fn(&str) -> String,
    site: &Path,
) -> Result<()> {
    let index = Index {
        pages,
        systems,
        id_of,
    };
    index.write(site)
}

impl Index<'_> {
    fn write(&self, site: &Path) -> Result<()> {
        let words = pieces::of_words(&self.words());
        let (heads, texts) = (
            pieces::of_heads(&self.pages, self.id_of),
            pieces::of_texts(&self.pages),
        );
        let vocabulary = pieces::vocabulary(&self.vocabulary());
        let mut hasher = DefaultHasher::new();
        (&words, &heads, &texts, &vocabulary).hash(&mut hasher);
        let hash = format!("{:08x}", hasher.finish() as u32);

        let folder = site.join("search");
        fs::create_dir_all(&folder).context("cannot make the folder search")?;
        let write = |name: String, text: &str| {
            let file = folder.join(format!("{name}-{hash}.txt"));
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
        };
        for (number, (_, text)) in words.iter().enumerate() {
            write(format!("w{number}"), text)?;
        }
        for (number, (_, text)) in heads.iter().enumerate() {
            write(format!("h{number}"), text)?;
        }
        for (page, texts) in texts.iter().enumerate() {
            for (number, text) in texts.iter().enumerate() {
                write(format!("t{page}.{number}"), text)?;
            }
        }
        write("v".to_owned(), &vocabulary)?;
        let list = self.list(&hash, &words, &heads);
        let script = format!("const INDEX = {list};\n{SCRIPT}");
        fs::write(folder.join("search.js"), script).context("cannot write search.js")
    }

    /// What the browser has to know from the first query on.
    fn list(
        &self,
        hash: &str,
        words: &[(String, String)],
        heads: &[(usize, String)],
    ) -> serde_json::Value {
        let kinds: String = self.pages.iter().map(|page| self.kind(page)).collect();
        let systems = self.systems.iter().zip(LETTERS);
        let systems: BTreeMap<&str, char> = systems.map(|(name, letter)| (*name, letter)).collect();
        let ways = WAYS
            .iter()
            .filter_map(|way| self.pages.iter().position(|page| page.address == *way));
        json!({
            "hash": hash,
            "pages": kinds,
            "systems": systems,
            "words": words.iter().map(|(first, _)| first.as_str()).collect::<Vec<_>>().join(" "),
            "heads": heads.iter().map(|(first, _)| first).collect::<Vec<_>>(),
            "ways": ways.collect::<Vec<_>>(),
            "stops": words::STOPS.split_whitespace().collect::<Vec<_>>().join(" "),
        })
    }

    /// For each word its pages, each with its worth and the worths in its sections.
    fn words(&self) -> BTreeMap<&str, Vec<pieces::Posting>> {
        let guide = self.pages.iter().filter(|page| !page.is_evidence());
        let averages = guide.map(|page| (&page.content.whole, page.content.counts.as_slice()));
        let averages = Averages::of(averages);
        let mut words: BTreeMap<&str, Vec<pieces::Posting>> = BTreeMap::new();
        for (number, page) in self.pages.iter().enumerate() {
            for (stem, worth) in averages.worth_in_page(&page.content.whole) {
                let posting = pieces::Posting::new(number, worth);
                words.entry(stem).or_default().push(posting);
            }
            if page.is_evidence() {
                continue;
            }
            for (phrase, section, worth) in &page.content.phrases {
                let mut posting = pieces::Posting::new(number, *worth);
                posting.sections.push((*section, *worth));
                words.entry(phrase).or_default().push(posting);
            }
            for (section, counts) in page.content.counts.iter().enumerate() {
                for (stem, worth) in averages.worth_in_section(counts) {
                    let postings = words.get_mut(stem).and_then(|postings| postings.last_mut());
                    if let Some(posting) = postings {
                        posting.sections.push((section, worth));
                    }
                }
            }
        }
        words
    }

    /// The words of the guide's pages as they are written, with how often they stand there, and those of
    /// readers.
    fn vocabulary(&self) -> BTreeMap<String, u32> {
        let mut all: BTreeMap<String, u32> = BTreeMap::new();
        for page in self.pages.iter().filter(|page| !page.is_evidence()) {
            for (word, times) in &page.content.vocabulary {
                *all.entry(word.clone()).or_default() += times;
            }
        }
        all.retain(|_, times| *times > 1);
        for word in synonyms::readers() {
            *all.entry(word).or_default() += 2;
        }
        all
    }

    /// A letter for each system, `-` for pages about several, `e` for evidence.
    fn kind(&self, page: &Page) -> char {
        let is_of = |name: &&'static str| page.system == Some(*name);
        match self.systems.iter().position(is_of) {
            _ if page.is_evidence() => 'e',
            Some(system) => LETTERS[system],
            None => '-',
        }
    }
}

/// What stands for the systems in the list of the pages.
const LETTERS: [char; 4] = ['k', 'r', 'q', 'n'];
