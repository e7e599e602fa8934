//! The server: rebuilds after a save, tells open pages, and keeps the last good site.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

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
        let mut process = Command::new(env!("CARGO_BIN_EXE_guide"))
            .args(["--port", "0", "--root"])
            .arg(book.root())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = lines(process.stdout.take().unwrap());
        let errors = lines(process.stderr.take().unwrap());
        let ready = output.recv_timeout(DEADLINE).unwrap();
        let address = ready.split("http://localhost:").nth(1).expect(&ready);
        let port = address.split(' ').next().unwrap().parse().unwrap();
        Self {
            process,
            port,
            output,
            errors,
        }
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
    fn listen_for_reload(&self) -> TcpStream {
        let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let mut stream = self.request("/__livereload", headers);
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

    fn interrupt(mut self) -> i32 {
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .unwrap()
                .success()
        );
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(start.elapsed() < DEADLINE, "Ctrl-C did not end the server");
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
    assert!(page.contains("<html lang=\"en\" data-live=\"__livereload\">"));
    assert!(server.get("/nothing.html").starts_with("HTTP/1.1 404"));

    let mut socket = server.listen_for_reload();
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
    assert!(
        server
            .output
            .recv_timeout(DEADLINE)
            .unwrap()
            .starts_with("rebuilt in ")
    );

    // A second rebuild for the first save would be reported before that of the second save.
    book.replace("snippets/kafka/output/kafka_two.txt", "two", "three");
    socket.read_exact(&mut frame).unwrap();
    assert!(
        server
            .get("/kafka/consume.html")
            .contains("<samp>three</samp>")
    );
    assert!(
        server
            .output
            .recv_timeout(DEADLINE)
            .unwrap()
            .starts_with("rebuilt in ")
    );
    assert!(server.output.try_recv().is_err(), "one save, two rebuilds");
    assert_eq!(server.interrupt(), 0);
    assert_eq!(book.files("target/serve"), [""; 0]);
}

#[test]
fn a_mistake_shows_in_the_terminal_and_the_last_good_site_stays() {
    let book = Book::new();
    let server = Server::start(&book);
    book.replace("book/index.md", "Go to", "{{#ev nothing}} Stay at");
    let said = server.errors.recv_timeout(DEADLINE).unwrap();
    assert!(
        said.starts_with("book/index.md:4: unknown claim `nothing`;"),
        "{said}"
    );
    let said = server.errors.recv_timeout(DEADLINE).unwrap();
    assert_eq!(said, "not rebuilt; the last good site stays");
    assert!(server.get("/").contains("Go to"));

    let mut socket = server.listen_for_reload();
    book.replace("book/index.md", "{{#ev nothing}} Stay at", "Come to");
    let mut frame = [0; 8];
    socket.read_exact(&mut frame).unwrap();
    assert!(server.get("/").contains("Come to"));
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
    book.replace("book/index.md", "Go to", "{{#ev nothing}} Go to");
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
    let input = serde_json::json!([
        {
            "root": book.root(), "renderer": "html", "mdbook_version": "0.5.4",
            "config": toml::from_str::<toml::Table>(&book.read("book.toml")).unwrap(),
        },
        { "items": [{ "Chapter": {
            "name": "Produce", "content": book.read("book/kafka/produce.md"), "number": null,
            "sub_items": [], "path": "kafka/produce.md", "source_path": "kafka/produce.md",
            "parent_names": [],
        } }] },
    ]);
    let mut guide = Command::new(env!("CARGO_BIN_EXE_guide"))
        .arg("preprocess")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    guide
        .stdin
        .take()
        .unwrap()
        .write_all(input.to_string().as_bytes())
        .unwrap();
    let output = guide.wait_with_output().unwrap();
    assert!(output.status.success());
    let expanded: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let chapter = &expanded["items"][0]["Chapter"];
    assert_eq!(chapter["path"], "kafka/produce.html");
    let text = chapter["content"].as_str().unwrap();
    for markup in [
        "<figure class=\"proof",
        "<ol class=\"sources\">",
        "admonish-trap",
        "class=\"ev run\"",
    ] {
        assert!(text.contains(markup), "no {markup} in {text}");
    }
}
