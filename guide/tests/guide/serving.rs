//! The server: rebuilds after a save, tells open pages, and keeps the last good site.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use mdbook_driver::MDBook;

use crate::support::Book;

const DEADLINE: Duration = Duration::from_secs(20);

/// A running server; it is killed when a test fails.
struct Server {
    process: Child,
    port: u16,
    output: Receiver<String>,
    errors: Receiver<String>,
}

impl Server {
    fn start(book: &Book) -> Self {
        let (mut server, output) = Self::start_unheard(book);
        server.output = lines(output);
        server
    }

    /// A server whose first line was read, and its stdout from there on.
    fn start_unheard(book: &Book) -> (Self, BufReader<ChildStdout>) {
        let mut process = Command::new(env!("CARGO_BIN_EXE_guide"))
            .args(["--port", "0", "--root"])
            .arg(book.root())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let errors = lines(process.stderr.take().unwrap());
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut ready = String::new();
        output.read_line(&mut ready).unwrap();
        let address = ready.split("http://localhost:").nth(1).expect(&ready);
        let port = address.split(' ').next().unwrap().parse().unwrap();
        let server = Self {
            process,
            port,
            output: mpsc::channel().1,
            errors,
        };
        (server, output)
    }

    fn rebuilt(&self) {
        let said = self.output.recv_timeout(DEADLINE).unwrap();
        assert!(said.starts_with("rebuilt in "), "{said}");
    }

    fn request(&self, path: &str, headers: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }

    fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        let mut stream = self.request(path, "Connection: close\r\n");
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Opens the web socket of the theme's script; returns after the server has accepted it.
    fn listen_for_reload(&self, build: u32) -> TcpStream {
        let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let mut stream = self.request(&format!("/__livereload?{build}"), headers);
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        assert!(
            head.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&head)
        );
        stream
    }

    fn interrupt(self) -> i32 {
        let pid = self.process.id().to_string();
        let kill = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(kill.success());
        self.exit_code()
    }

    fn exit_code(mut self) -> i32 {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(start.elapsed() < DEADLINE, "the server did not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A text frame of a web socket that says `reload`.
const RELOAD: &[u8] = b"\x81\x06reload";

#[test]
fn a_save_rebuilds_once_and_reloads_open_pages() {
    let book = Book::new();
    let server = Server::start(&book);
    let page = server.get("/kafka/produce.html");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'self'"));
    assert!(page.contains("<html lang=\"en\" data-live=\"__livereload?1\">"));
    assert!(server.get("/nothing.html").starts_with("HTTP/1.1 404"));

    let mut socket = server.listen_for_reload(1);
    book.replace(
        "book/kafka/produce.md",
        "The record arrives",
        "The record reaches us",
    );
    let mut frame = [0; 8];
    socket.read_exact(&mut frame).unwrap();
    assert_eq!(frame, RELOAD);
    assert!(
        server
            .get("/kafka/produce.html")
            .contains("The record reaches us")
    );
    server.rebuilt();

    // A second rebuild for the first save would be reported before that of the second save.
    book.replace("snippets/kafka/output/kafka_two.txt", "two", "three");
    socket.read_exact(&mut frame).unwrap();
    assert!(
        server
            .get("/kafka/consume.html")
            .contains("<samp>three</samp>")
    );
    server.rebuilt();
    assert!(server.output.try_recv().is_err(), "one save, two rebuilds");
    assert_eq!(server.interrupt(), 0);
    assert_eq!(book.files("target/serve"), [""; 0]);
}

#[test]
fn pages_are_compressed_and_kept_until_the_next_build() {
    let book = Book::new();
    let server = Server::start(&book);
    let get = |path: &str, headers: &str| {
        let mut answer = Vec::new();
        let headers = format!("Connection: close\r\n{headers}");
        let mut stream = server.request(path, &headers);
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let header = |answer: &str, name: &str| {
        let mut lines = answer.lines();
        let line = lines.find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_default().to_owned()
    };
    let page = get("/kafka/produce.html", "Accept-Encoding: gzip\r\n");
    assert_eq!(header(&page, "content-encoding"), "gzip");
    assert_eq!(header(&page, "cache-control"), "no-cache");
    let known = format!("If-None-Match: {}\r\n", header(&page, "etag"));
    assert!(get("/kafka/produce.html", &known).starts_with("HTTP/1.1 304"));
    let plain = get("/kafka/produce.html", "");
    let style = plain.split("href=\"../book/theme/style-").nth(1).unwrap();
    let style = style.split('"').next().unwrap();
    let style = get(&format!("/book/theme/style-{style}"), "");
    assert!(
        header(&style, "cache-control").contains("immutable"),
        "{style}"
    );

    let missing = get("/nothing/at/all.html", "");
    assert!(missing.starts_with("HTTP/1.1 404") && missing.contains("No such page"));
    assert_eq!(header(&missing, "etag"), "");

    book.replace("book/index.md", "Go to", "Come to");
    server.rebuilt();
    assert!(get("/kafka/produce.html", &known).starts_with("HTTP/1.1 200"));
}

#[test]
fn a_mistake_shows_in_the_terminal_and_the_last_good_site_stays() {
    let book = Book::new();
    let server = Server::start(&book);
    book.replace("book/index.md", "Go to", "Stay. {{#ev nothing}} Go");
    let said = server.errors.recv_timeout(DEADLINE).unwrap();
    assert!(
        said.starts_with("book/index.md:4: unknown claim `nothing`;"),
        "{said}"
    );
    let said = server.errors.recv_timeout(DEADLINE).unwrap();
    assert_eq!(said, "not rebuilt; the last good site stays");
    assert!(server.get("/").contains("Go to"));

    let mut socket = server.listen_for_reload(1);
    book.replace("book/index.md", "Stay. {{#ev nothing}} Go", "Come to");
    let mut frame = [0; 8];
    socket.read_exact(&mut frame).unwrap();
    assert!(server.get("/").contains("Come to"));
}

#[test]
fn a_page_from_before_a_rebuild_is_told_when_it_asks() {
    let book = Book::new();
    let server = Server::start(&book);
    book.replace("book/index.md", "Go to", "Come to");
    server.rebuilt();
    assert!(server.get("/").contains("data-live=\"__livereload?2\""));
    let mut frame = [0; 8];
    server.listen_for_reload(1).read_exact(&mut frame).unwrap();
    assert_eq!(frame, RELOAD);
}

#[test]
fn nobody_has_to_read_what_the_server_prints() {
    let book = Book::new();
    let (mut server, output) = Server::start_unheard(&book);
    drop(output);
    server.errors = mpsc::channel().1;
    for (number, (from, to)) in [("Go to", "Come to"), ("Come to", "Stay at")]
        .iter()
        .enumerate()
    {
        let mut socket = server.listen_for_reload(number as u32 + 1);
        book.replace("book/index.md", from, to);
        socket.read_exact(&mut [0; 8]).unwrap();
        assert!(server.get("/").contains(to));
    }
}

#[test]
fn a_folder_that_was_away_is_watched_again() {
    let book = Book::new();
    let server = Server::start(&book);
    book.rename("book", "away");
    let said = server.errors.recv_timeout(DEADLINE).unwrap();
    assert!(
        said.starts_with("book/SUMMARY.md:1: cannot read it: "),
        "{said}"
    );
    book.copy("away", "book");
    let mut said = server.output.recv_timeout(DEADLINE).unwrap();
    book.replace("book/index.md", "Go to", "Come to");
    // A look at half a copy is no rebuild, but may be one of the book before the last files.
    while !server.get("/").contains("Come to") {
        said = server.output.recv_timeout(DEADLINE).unwrap();
    }
    assert!(said.starts_with("rebuilt in "), "{said}");
}

#[test]
fn an_included_file_is_watched_wherever_it_is() {
    let book = Book::new();
    book.write("deploy/broker.txt", "one broker");
    book.append(
        "book/index.md",
        "\n```text\n{{#include ../deploy/broker.txt}}\n```\n",
    );
    let server = Server::start(&book);
    assert!(server.get("/").contains("one broker"));
    book.write("deploy/broker.txt", "two brokers");
    server.rebuilt();
    assert!(server.get("/").contains("two brokers"));
}

#[test]
fn a_save_is_seen_although_files_are_never_quiet() {
    let book = Book::new();
    let server = Server::start(&book);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                book.write("book/.noise", "x");
                thread::sleep(Duration::from_millis(5));
            }
        });
        book.replace("book/index.md", "Go to", "Come to");
        let said = server.output.recv_timeout(DEADLINE);
        done.store(true, Ordering::Relaxed);
        assert!(said.unwrap().starts_with("rebuilt in "));
    });
}

#[test]
fn a_server_that_notices_no_saves_ends() {
    let book = Book::new();
    let server = Server::start(&book);
    let away = book.root().with_extension("away");
    fs::rename(book.root(), &away).unwrap();
    let said = server.errors.recv_timeout(DEADLINE);
    fs::rename(&away, book.root()).unwrap();
    let said = said.unwrap();
    let start = "saves are not noticed any more; start it again: cannot watch ";
    assert!(said.starts_with(start), "{said}");
    assert_eq!(server.exit_code(), 1);
}

#[test]
fn a_taken_port_is_named_with_its_process() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let book = Book::new();
    let guide = Command::new(env!("CARGO_BIN_EXE_guide"))
        .args(["--port", &port.to_string(), "--root"])
        .arg(book.root())
        .output()
        .unwrap();
    let said = String::from_utf8(guide.stderr).unwrap();
    assert_eq!(guide.status.code(), Some(1));
    assert_eq!(said.lines().count(), 1);
    let pid = std::process::id();
    assert!(
        said.starts_with(&format!("port {port} is taken by ")),
        "{said}"
    );
    assert!(said.contains(&format!("(process {pid})")), "{said}");
    assert!(
        said.contains(&format!("cargo run -- --port {}", port + 1)),
        "{said}"
    );
}

#[test]
fn a_wrong_book_is_not_served() {
    let book = Book::new();
    book.replace("book/index.md", "Go to", "Go. {{#ev nothing}} Go to");
    let guide = Command::new(env!("CARGO_BIN_EXE_guide"))
        .args(["--port", "0", "--root"])
        .arg(book.root())
        .output()
        .unwrap();
    assert_eq!(guide.status.code(), Some(1));
    assert!(guide.stdout.is_empty());
    assert!(
        guide
            .stderr
            .starts_with(b"book/index.md:4: unknown claim `nothing`;")
    );
}

#[test]
fn stock_mdbook_gets_the_same_pages_from_the_preprocessor() {
    let supports = Command::new(env!("CARGO_BIN_EXE_guide"))
        .args(["preprocess", "supports", "html"])
        .status()
        .unwrap();
    assert!(supports.success());

    let book = Book::new();
    let guide = format!("{:?} preprocess", env!("CARGO_BIN_EXE_guide"));
    let from = "\"cargo run --quiet --bin guide -- preprocess\"";
    book.replace("book.toml", from, &toml::Value::from(guide).to_string());
    MDBook::load(book.root()).unwrap().build().unwrap();
    let page = book.read("target/site/kafka/produce.html");
    for markup in [
        "<figure class=\"proof",
        "<ol class=\"sources\">",
        "admonish-trap",
        "class=\"ev run\"",
        "<a href=\"../kafka/produce.html\" aria-current=\"page\">Produce</a>",
        "<svg class=\"drawing\"",
    ] {
        assert!(page.contains(markup), "no {markup} in {page}");
    }
    assert!(!page.contains("{{#ev"));

    book.replace("book/index.md", "Go to", "Go. {{#ev nothing}} Go to");
    assert!(MDBook::load(book.root()).unwrap().build().is_err());
}
