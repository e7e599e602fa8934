//! How often the words stand where on a page, and what that is worth: BM25's saturation and norm of the
//! length, for each kind of place on its own, so that ten mentions in the text are not worth a title.

use std::collections::HashMap;

use super::{sections::Section, synonyms, words};

/// Where a word can stand.
#[derive(Clone, Copy)]
pub enum Place {
    /// The page's title in its head, elsewhere the section's heading.
    Heading,
    /// The sentence below the title.
    Description,
    /// What the page's author says that readers type.
    Keywords,
    /// The text.
    Prose,
    /// Programs, outputs, drawings.
    Code,
}

/// The number of places.
const PLACES: usize = 5;

/// A number for each place.
type Each = [f32; PLACES];

/// How often each stem stands where, and how many words stand there.
#[derive(Debug, Default, Clone)]
pub struct Counts {
    stems: HashMap<String, Each>,
    lengths: Each,
}

/// What a mention is worth in a place.
struct Worth {
    /// At most, by any number of mentions.
    most: f32,
    /// So many mentions are worth half of that.
    half: f32,
    /// How much the length of the place counts, from 0 to 1.
    norm: f32,
}

const fn worth(most: f32, half: f32, norm: f32) -> Worth {
    Worth { most, half, norm }
}

/// The page as a whole: title, description, keywords, text, code; the headings of its sections follow.
const IN_PAGE: [Worth; PLACES] = [
    worth(4.0, 0.3, 0.4),
    worth(2.0, 0.6, 0.3),
    worth(3.0, 0.4, 0.0),
    worth(2.4, 2.0, 0.6),
    worth(0.6, 2.0, 0.5),
];
const IN_HEADINGS: Worth = worth(2.0, 1.0, 0.3);

/// A section among those of its page.
const IN_SECTION: [Worth; PLACES] = [
    worth(3.0, 0.3, 0.4),
    worth(1.5, 0.6, 0.3),
    worth(0.0, 1.0, 0.0),
    worth(2.0, 1.5, 0.5),
    worth(0.0, 1.0, 0.0),
];

/// The most that a word can be worth in a page, and in a section.
pub const MOST_IN_PAGE: f32 = 14.0;
pub const MOST_IN_SECTION: f32 = 6.5;

impl Counts {
    /// The words of a section; only a page's head has a description and keywords.
    pub fn of(section: &Section, description: &str, keywords: &str) -> Self {
        let mut counts = Self::default();
        counts.add(&section.heading, Place::Heading);
        counts.add(description, Place::Description);
        counts.add(keywords, Place::Keywords);
        counts.add(&section.prose, Place::Prose);
        counts.add(&section.code, Place::Code);
        counts
    }

    fn add(&mut self, text: &str, place: Place) {
        // What stands on two lines is no phrase.
        for line in text.lines() {
            let words: Vec<String> = words::of(line).collect();
            let stems: Vec<String> = words.iter().map(|word| words::stem(word)).collect();
            for (word, stem) in words.iter().zip(&stems) {
                if !words::is_stop(word) {
                    self.count(stem, place, 1.0);
                    self.lengths[place as usize] += 1.0;
                }
            }
            if !matches!(place, Place::Code) {
                for (stem, share) in synonyms::of(&stems) {
                    self.count(stem, place, share);
                }
            }
        }
    }

    fn count(&mut self, stem: &str, place: Place, times: f32) {
        match self.stems.get_mut(stem) {
            Some(counts) => counts[place as usize] += times,
            None => {
                let mut counts = Each::default();
                counts[place as usize] = times;
                self.stems.insert(stem.to_owned(), counts);
            }
        }
    }

    fn absorb(&mut self, other: &Self, places: &[Place]) {
        for (stem, counts) in &other.stems {
            for place in places {
                if counts[*place as usize] > 0.0 {
                    self.count(stem, *place, counts[*place as usize]);
                }
            }
        }
        for place in places {
            self.lengths[*place as usize] += other.lengths[*place as usize];
        }
    }

    fn worth(&self, counts: &Each, average: &Each, worths: &[Worth; PLACES]) -> f32 {
        (0..PLACES)
            .map(|place| {
                let length = self.lengths[place] / average[place].max(1.0);
                worths[place].of(counts[place], length)
            })
            .sum()
    }
}

impl Worth {
    /// What some mentions are worth in a place that is so much longer than others.
    fn of(&self, times: f32, length: f32) -> f32 {
        let times = times / (1.0 - self.norm + self.norm * length);
        self.most * times / (times + self.half)
    }
}

/// The words of a whole page: those of its sections, and of their headings apart.
pub struct Whole {
    all: Counts,
    headings: Counts,
}

impl Whole {
    /// Of the sections of a page, the first of which is its head.
    pub fn of(sections: &[Counts]) -> Self {
        let mut all = Counts::default();
        let mut headings = Counts::default();
        for (number, section) in sections.iter().enumerate() {
            all.absorb(
                section,
                &[
                    Place::Description,
                    Place::Keywords,
                    Place::Prose,
                    Place::Code,
                ],
            );
            let named = if number == 0 { &mut all } else { &mut headings };
            named.absorb(section, &[Place::Heading]);
        }
        Self { all, headings }
    }
}

/// How long the places of pages and sections are on average.
#[derive(Default)]
pub struct Averages {
    page: Each,
    headings: f32,
    section: Each,
}

impl Averages {
    /// Of pages with their sections.
    pub fn of<'a>(pages: impl Iterator<Item = (&'a Whole, &'a [Counts])>) -> Self {
        let mut sums = Self::default();
        let (mut number, mut sections) = (0.0_f32, 0.0_f32);
        for (whole, of_page) in pages {
            number += 1.0;
            sums.headings += whole.headings.lengths[Place::Heading as usize];
            for place in 0..PLACES {
                sums.page[place] += whole.all.lengths[place];
            }
            for section in of_page {
                sections += 1.0;
                for place in 0..PLACES {
                    sums.section[place] += section.lengths[place];
                }
            }
        }
        sums.headings /= number.max(1.0);
        sums.page = sums.page.map(|sum| sum / number.max(1.0));
        sums.section = sums.section.map(|sum| sum / sections.max(1.0));
        sums
    }

    /// Each word of a page with what it is worth there.
    pub fn worth_in_page<'a>(&self, page: &'a Whole) -> HashMap<&'a str, f32> {
        let mut worths: HashMap<&str, f32> = HashMap::new();
        for (stem, counts) in &page.all.stems {
            let worth = page.all.worth(counts, &self.page, &IN_PAGE);
            worths.insert(stem, worth);
        }
        let length = page.headings.lengths[Place::Heading as usize] / self.headings.max(1.0);
        for (stem, counts) in &page.headings.stems {
            let worth = IN_HEADINGS.of(counts[Place::Heading as usize], length);
            *worths.entry(stem).or_default() += worth;
        }
        worths
    }

    /// Each word of a section with what it is worth there; nothing for those in programs alone.
    pub fn worth_in_section<'a>(
        &self,
        section: &'a Counts,
    ) -> impl Iterator<Item = (&'a str, f32)> {
        let worths = section.stems.iter().map(|(stem, counts)| {
            let worth = section.worth(counts, &self.section, &IN_SECTION);
            (stem.as_str(), worth)
        });
        let worths: Vec<_> = worths.filter(|(_, worth)| *worth > 0.0).collect();
        worths.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(title: &str, prose: &str) -> Vec<Counts> {
        let head = Section {
            heading: title.to_owned(),
            prose: prose.to_owned(),
            ..Section::default()
        };
        vec![Counts::of(&head, "", "")]
    }

    #[test]
    fn a_title_is_worth_more_than_many_mentions_and_a_short_page_more_than_a_long_one() {
        let long = "leases ".to_owned() + &"queue ".repeat(400);
        let pages = [
            page("Leases", "nothing"),
            page("Other", &"leases ".repeat(50)),
            page("Other", "leases"),
            page("Other", &long),
        ];
        let wholes: Vec<_> = pages.iter().map(|page| Whole::of(page)).collect();
        let averages = Averages::of(wholes.iter().zip(pages.iter().map(Vec::as_slice)));
        let worths = wholes.iter().map(|page| {
            let worths = averages.worth_in_page(page);
            worths[words::stem("leases").as_str()]
        });
        let worths: Vec<f32> = worths.collect();
        assert!(worths[0] > worths[1], "{worths:?}");
        assert!(worths[1] < 2.5 && worths[1] > worths[2], "{worths:?}");
        assert!(worths[2] > worths[3], "{worths:?}");
        assert!(worths.iter().all(|worth| *worth <= MOST_IN_PAGE));
    }
}
