//! The guide on 127.0.0.1, rebuilt after each save.

use std::{
    fs, io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    thread,
};

use anyhow::{Context, Result, bail};
use axum::{
    Router,
    extract::{
        Request, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::sync::broadcast;
use tower::ServiceExt;
use tower_http::{services::ServeDir, set_header::SetResponseHeaderLayer};

use crate::{build, cli::one_line_each, port, watch::Changes};

/// The path of the reload events; stock `mdbook serve` has the same, so the theme's script serves
/// both.
const LIVE: &str = "__livereload";

/// What the pages may load: nothing from another host and nothing inline.
const POLICY: &str = "default-src 'self'";

/// The site that is served now, and who is told when it changes.
#[derive(Clone)]
struct Site {
    folder: Arc<RwLock<PathBuf>>,
    reload: broadcast::Sender<()>,
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
    let first = build::render(root, &folder.join("1"), Some(LIVE))?;
    let site = Site {
        folder: Arc::new(RwLock::new(first.folder.clone())),
        reload: broadcast::channel(1).0,
    };
    let address = format!("http://localhost:{port}");
    let seconds = first.took.as_secs_f32();
    println!(
        "{} pages built in {seconds:.2} s: {address} (Ctrl-C ends it)",
        first.pages
    );
    let rebuilder = (root.to_owned(), folder.to_owned(), site.clone());
    thread::spawn(move || rebuild(&rebuilder.0, &rebuilder.1, &rebuilder.2, changes));
    if open && let Err(e) = opener::open_browser(&address) {
        eprintln!("cannot open a browser: {e}; open {address} yourself");
    }
    let runtime = tokio::runtime::Runtime::new().context("cannot start the server")?;
    runtime.block_on(answer(listener, site))
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

/// Builds into a fresh folder after each change and swaps it in when the book has no problem.
fn rebuild(root: &Path, folder: &Path, site: &Site, mut changes: Changes) {
    for number in 2_u64.. {
        if !changes.wait() {
            return;
        }
        let fresh = folder.join(number.to_string());
        match build::render(root, &fresh, Some(LIVE)) {
            Ok(built) => {
                println!("rebuilt in {:.2} s", built.took.as_secs_f32());
                swap(site, fresh);
            }
            Err(error) => {
                eprintln!(
                    "{}\nnot rebuilt; the last good site stays",
                    one_line_each(&error)
                );
                let _ = fs::remove_dir_all(&fresh);
            }
        }
    }
}

fn swap(site: &Site, fresh: PathBuf) {
    let mut current = site.folder.write().unwrap_or_else(PoisonError::into_inner);
    let old = std::mem::replace(&mut *current, fresh);
    drop(current);
    // Nobody listens when no page is open.
    let _ = site.reload.send(());
    // What cannot be removed now is removed at the next start.
    let _ = fs::remove_dir_all(old);
}

async fn answer(listener: TcpListener, site: Site) -> Result<()> {
    let header =
        |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    let app = Router::new()
        .route(&format!("/{LIVE}"), get(live))
        .fallback(page)
        .layer(header(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(header(header::CACHE_CONTROL, "no-store"))
        .with_state(site);
    let listener = tokio::net::TcpListener::from_std(listener)?;
    tokio::select! {
        served = axum::serve(listener, app) => served.context("the server stopped"),
        () = end_of_program() => Ok(()),
    }
}

async fn page(State(site): State<Site>, request: Request) -> Response {
    let folder = site
        .folder
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    match ServeDir::new(folder).oneshot(request).await {
        Ok(response) => response.into_response(),
        Err(never) => match never {},
    }
}

async fn live(State(site): State<Site>, upgrade: WebSocketUpgrade) -> Response {
    let reload = site.reload.subscribe();
    upgrade.on_upgrade(|socket| tell(socket, reload))
}

/// Tells one open page when the site has changed, until the page is gone.
async fn tell(mut socket: WebSocket, mut reload: broadcast::Receiver<()>) {
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
