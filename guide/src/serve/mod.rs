//! The guide on 127.0.0.1, rebuilt after each save.

mod port;
mod watch;

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, PoisonError, RwLock},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, anyhow, bail};
use axum::{
    Router,
    extract::{
        RawQuery, Request, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use regex::Regex;
use tokio::sync::{broadcast, oneshot};
use tower::ServiceExt;
use tower_http::{
    compression::CompressionLayer,
    services::{ServeDir, ServeFile},
    set_header::SetResponseHeaderLayer,
};
use watch::Changes;

use crate::{
    build::{self, Built, Cache},
    model::options::Options,
    site::host_files,
    text::terminal::{one_line_each, say, warn},
};

/// The path of the reload events; stock `mdbook serve` has the same, so the theme's script serves
/// both.
const LIVE: &str = "__livereload";

/// What the pages may load: nothing from another host and nothing inline.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file with a hash of its content in its name: another content has another name.
static HASHED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"-[0-9a-f]{8}\.(?:css|js|json|png|svg|txt)$").expect("a constant pattern")
});

/// The site that is served now, and who is told when it changes.
#[derive(Clone)]
struct Served {
    current: Arc<RwLock<Current>>,
    reload: broadcast::Sender<()>,
}

/// One build of the site.
#[derive(Clone)]
struct Current {
    /// Which build it is, from 1. Its pages name it when they ask to be told of the next.
    number: u64,
    folder: PathBuf,
    /// What a browser's copy of a page is compared by: one for each build of each process.
    tag: HeaderValue,
}

impl Current {
    fn new(number: u64, folder: PathBuf) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let start = now.unwrap_or_default().as_nanos();
        Ok(Self {
            number,
            folder,
            tag: HeaderValue::try_from(format!("W/\"{start:x}\""))?,
        })
    }
}

impl Served {
    fn new(current: Current) -> Self {
        Self {
            current: Arc::new(RwLock::new(current)),
            reload: broadcast::channel(1).0,
        }
    }

    fn current(&self) -> Current {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Builds the site of the project in `root` and serves it until Ctrl-C.
///
/// # Errors
/// A taken port, or a book that cannot be built at the start; later problems go to stderr while the
/// last good site stays.
pub fn serve(root: &Path, port: u16, open: bool) -> Result<()> {
    let listener = listen(port)?;
    let port = listener.local_addr()?.port();
    let folder = root.join(format!("target/serve/{port}"));
    let result = serve_from(&folder, root, listener, port, open);
    // Left-overs are removed at the next start on this port.
    let _ = fs::remove_dir_all(&folder);
    result
}

fn serve_from(
    folder: &Path,
    root: &Path,
    listener: TcpListener,
    port: u16,
    open: bool,
) -> Result<()> {
    // The port is ours, so whatever is in the folder was left by a process that is gone.
    let _ = fs::remove_dir_all(folder);
    let changes = Changes::watch(root)?;
    let cache = Cache::default();
    let (first, built) = render(root, folder, 1, &cache)?;
    let served = Served::new(first);
    let address = format!("http://localhost:{port}");
    let seconds = built.took.as_secs_f32();
    say(&format!(
        "{} pages built in {seconds:.2} s: {address} (Ctrl-C ends it)",
        built.pages
    ));
    let end = rebuild_in_background(root, folder, &served, changes, cache);
    if open && let Err(e) = opener::open_browser(&address) {
        warn(&format!(
            "cannot open a browser: {e}; open {address} yourself"
        ));
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the server")?;
    runtime.block_on(answer(listener, served, end))
}

fn listen(port: u16) -> Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(listener) => {
            listener.set_nonblocking(true)?;
            Ok(listener)
        }
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            let other = port.checked_add(1).unwrap_or(3000);
            let owner = port::owner(port).unwrap_or_else(|| "another program".to_owned());
            bail!("port {port} is taken by {owner}; end it or use: cargo run -- --port {other}")
        }
        Err(e) => bail!("cannot listen on 127.0.0.1:{port}: {e}; try another --port"),
    }
}

/// Builds into the folder of a number; the pages know their number.
fn render(root: &Path, folder: &Path, number: u64, cache: &Cache) -> Result<(Current, Built)> {
    let folder = folder.join(number.to_string());
    let options = Options {
        live: Some(format!("{LIVE}?{number}")),
        ..Options::default()
    };
    let built = build::render(root, &folder, &options, cache);
    // What is left of a failed build cannot be served; if it stays, the next start removes it.
    let built = built.inspect_err(|_| drop(fs::remove_dir_all(&folder)))?;
    Ok((Current::new(number, folder)?, built))
}

/// Rebuilds in a thread of its own. What is returned is ready when the thread has ended: with its
/// error, or without one when it panicked.
fn rebuild_in_background(
    root: &Path,
    folder: &Path,
    served: &Served,
    changes: Changes,
    cache: Cache,
) -> oneshot::Receiver<anyhow::Error> {
    let (sender, end) = oneshot::channel();
    let (root, folder, served) = (root.to_owned(), folder.to_owned(), served.clone());
    thread::spawn(move || {
        let error = rebuild(&root, &folder, &served, changes, &cache);
        // The server has ended when nobody waits for it.
        let _ = sender.send(error);
    });
    end
}

/// Builds into a fresh folder after each change and swaps it in when the book has no problem; ends
/// when changes cannot be noticed any more.
fn rebuild(
    root: &Path,
    folder: &Path,
    served: &Served,
    mut changes: Changes,
    cache: &Cache,
) -> anyhow::Error {
    let mut number = 1;
    loop {
        if let Err(error) = changes.wait() {
            return error;
        }
        number += 1;
        match render(root, folder, number, cache) {
            Ok((fresh, built)) => {
                swap(served, fresh);
                say(&format!("rebuilt in {:.2} s", built.took.as_secs_f32()));
            }
            Err(error) => {
                let problems = one_line_each(&error);
                warn(&format!(
                    "{problems}\nnot rebuilt; the last good site stays"
                ));
            }
        }
    }
}

fn swap(served: &Served, fresh: Current) {
    let current = served.current.write();
    let mut current = current.unwrap_or_else(PoisonError::into_inner);
    let old = std::mem::replace(&mut *current, fresh);
    drop(current);
    // Nobody listens when no page is open.
    let _ = served.reload.send(());
    // What cannot be removed now is removed at the next start.
    let _ = fs::remove_dir_all(old.folder);
}

async fn answer(
    listener: TcpListener,
    served: Served,
    end_of_rebuilds: oneshot::Receiver<anyhow::Error>,
) -> Result<()> {
    let app = app(served);
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::select! {
        served = axum::serve(listener, app) => served.context("the server stopped"),
        ended = end_of_rebuilds => {
            let error = ended.unwrap_or_else(|_| anyhow!("the rebuild panicked"));
            Err(error.context("saves are not noticed any more; start it again"))
        }
        () = end_of_program() => Ok(()),
    }
}

/// The pages, compressed, and the reload events.
fn app(served: Served) -> Router {
    let policy = HeaderValue::from_static(POLICY);
    let policy = SetResponseHeaderLayer::overriding(header::CONTENT_SECURITY_POLICY, policy);
    Router::new()
        .fallback(page)
        .layer(CompressionLayer::new())
        .route(&format!("/{LIVE}"), get(live))
        .layer(policy)
        .with_state(served)
}

/// A browser keeps what it got, but asks each time whether it is still good: after a save it is not.
/// What has a hash in its name it need not ask for again.
async fn page(State(served): State<Served>, request: Request) -> Response {
    let Current { folder, tag, .. } = served.current();
    let caching = match HASHED.is_match(request.uri().path()) {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let caching = HeaderValue::from_static(caching);
    let headers = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, caching),
    ];
    if is_known(request.headers(), &tag) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    // By the second, as files have it, two builds may be one.
    let mut request = request;
    request.headers_mut().remove(header::IF_MODIFIED_SINCE);
    let missing = ServeFile::new(folder.join(host_files::NOT_FOUND));
    let files = ServeDir::new(folder).not_found_service(missing);
    let mut response = match files.oneshot(request).await {
        Ok(response) => response.into_response(),
        Err(never) => match never {},
    };
    response.headers_mut().remove(header::LAST_MODIFIED);
    if response.status().is_success() {
        response.headers_mut().extend(headers);
    }
    response
}

fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = headers.get(header::IF_NONE_MATCH);
    let known = known.and_then(|known| known.to_str().ok());
    known.is_some_and(|known| known.split(',').any(|one| one.trim().as_bytes() == tag))
}

/// `?N` is the build that the page belongs to.
async fn live(
    State(served): State<Served>,
    RawQuery(build): RawQuery,
    upgrade: WebSocketUpgrade,
) -> Response {
    let reload = served.reload.subscribe();
    // A rebuild after this look is told by `reload`.
    let is_old = build.is_some_and(|build| build != served.current().number.to_string());
    upgrade.on_upgrade(move |socket| tell(socket, reload, is_old))
}

/// Tells one open page when the site has changed, until the page is gone.
async fn tell(mut socket: WebSocket, mut reload: broadcast::Receiver<()>, is_old: bool) {
    if is_old && socket.send(Message::text("reload")).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            changed = reload.recv() => {
                let closed = matches!(changed, Err(broadcast::error::RecvError::Closed));
                if closed || socket.send(Message::text("reload")).await.is_err() {
                    return;
                }
            }
            received = socket.recv() => {
                if !matches!(received, Some(Ok(_))) {
                    return;
                }
            }
        }
    }
}

/// A folder that is served as the guide is, on a free port of this machine, until this value goes.
pub struct Host {
    port: u16,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Host {
    /// Begins to serve a built site.
    ///
    /// # Errors
    /// When no port or no thread can be had.
    pub fn start(folder: &Path) -> Result<Self> {
        let listener = listen(0)?;
        let port = listener.local_addr()?.port();
        let served = Served::new(Current::new(0, folder.to_owned())?);
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build()?;
        let (end, ended) = oneshot::channel::<()>();
        let thread = thread::Builder::new().spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                    return;
                };
                tokio::select! {
                    _ = axum::serve(listener, app(served)) => {}
                    _ = ended => {}
                }
            });
        })?;
        Ok(Self {
            port,
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// The address of the site, with a slash at its end.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Dropping the sender ends the server.
        self.end = None;
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

/// Ctrl-C, or the signal that asks a program to end.
async fn end_of_program() {
    let interrupt = async {
        // Without a handler the signal ends the program by itself.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
