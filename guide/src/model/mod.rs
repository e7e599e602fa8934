//! What the book is: its pages, addresses, directives, claims, programs, records and settings. Nothing
//! here renders.

pub mod address;
pub mod book;
pub mod cargo_add;
pub mod directive;
pub mod experiment;
pub mod include;
pub mod ledger;
pub mod matrix;
pub mod options;
pub mod page;
pub mod program;
pub mod record;
pub mod section;
pub mod settings;
pub mod sim;
pub mod summary;
