//! Which process has a port.

use std::{fs, path::Path};

/// The process that listens on a TCP port of this machine, as `NAME (process 1234)`; nothing where
/// the system does not tell.
pub fn owner(port: u16) -> Option<String> {
    let socket = format!("socket:[{}]", listening_socket(port)?);
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let owner = processes
        .map(|process| process.path())
        .find(|p| has_open(p, &socket))?;
    let name = fs::read_to_string(owner.join("comm")).ok()?;
    let pid = owner.file_name()?.to_string_lossy().into_owned();
    Some(format!("{} (process {pid})", name.trim()))
}

/// The number of the socket that listens on a port, from the kernel's tables: the second column is
/// `ADDRESS:PORT` in hexadecimal, the fourth the state (`0A` listens), the tenth the number.
fn listening_socket(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let tables = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok());
    let ending = format!(":{port:04X}");
    tables.into_iter().find_map(|table| {
        table.lines().find_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let listens = columns.get(1)?.ends_with(&ending) && *columns.get(3)? == "0A";
            listens.then(|| columns.get(9).map(|number| (*number).to_owned()))?
        })
    })
}

fn has_open(process: &Path, socket: &str) -> bool {
    let files = fs::read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten();
    let mut targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets.any(|target| target.as_os_str() == socket)
}
