//! What is said of any text: escaping, colours, splices, files, problems with their lines.

pub mod files;
pub mod grammar;
pub mod markdown;
pub mod markup;
pub mod memo;
pub mod problem;
pub mod splice;
pub mod terminal;
