//! Machines that break things: a program of each system, the sandbox and the builder on each. They work,
//! or one line says why not and what to do.
//!
//! Every machine is made of namespaces: a network with nothing but this machine in it, and mounts that
//! nobody else sees. That needs root, as the sandbox does.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use sandbox::{Broker, Sandbox};
use tempfile::TempDir;
use tests::{compare::compare, program};

/// One program of each system.
const PROGRAMS: [(&str, Broker); 4] = [
    ("kafka_produce_keyed", Broker::Kafka),
    ("rabbitmq_fanout", Broker::RabbitMq),
    ("sqs_send_receive", Broker::LocalStack),
    ("sns_fanout", Broker::LocalStack),
];

/// What makes a machine.
#[derive(Default)]
struct Kind<'a> {
    /// What is run in the machine's own mounts before everything else. `$1` is its folder.
    setup: &'a str,
    /// What stands before every command.
    wrap: &'a [&'a str],
    variables: &'a [(&'a str, &'a str)],
    /// The name of the folder in which everything is.
    folder: &'a str,
    /// What `up` says instead of starting a broker.
    refusals: &'a [(Broker, &'a str)],
}

#[test]
fn an_office_with_a_proxy() -> Result<()> {
    // Nothing listens there: a request that took it would fail.
    const PROXY: &str = "http://127.0.0.1:9";
    prove(&Kind {
        variables: &[
            ("HTTP_PROXY", PROXY),
            ("http_proxy", PROXY),
            ("HTTPS_PROXY", PROXY),
            ("https_proxy", PROXY),
            ("ALL_PROXY", PROXY),
            ("all_proxy", PROXY),
        ],
        ..Kind::default()
    })
}

#[test]
fn localhost_is_ipv6_first() -> Result<()> {
    prove(&Kind {
        setup: "printf '::1 localhost\\n127.0.0.1 localhost\\n' > \"$1/hosts\" &&
            mount --bind \"$1/hosts\" /etc/hosts",
        ..Kind::default()
    })
}

#[test]
fn no_authorities() -> Result<()> {
    prove(&Kind {
        setup:
            "mkdir \"$1/empty\" && for folder in /etc/ssl /usr/share/ca-certificates /etc/pki; do
            [ ! -d $folder ] || mount --bind \"$1/empty\" $folder || exit 1; done",
        ..Kind::default()
    })
}

#[test]
fn a_container_without_the_right_to_mount() -> Result<()> {
    prove(&Kind {
        wrap: &["setpriv", "--bounding-set", "-sys_admin"],
        refusals: &[(
            Broker::RabbitMq,
            "this root lacks CAP_SYS_ADMIN: start the container with more rights (`--privileged`), or \
             set AMQP_URL to a RabbitMQ elsewhere, or use Docker: `docker compose up -d --wait rabbitmq`",
        )],
        ..Kind::default()
    })
}

#[test]
fn a_blank_in_the_path() -> Result<()> {
    prove(&Kind {
        folder: "my guide",
        ..Kind::default()
    })
}

#[test]
fn another_language() -> Result<()> {
    prove(&Kind {
        variables: &[
            ("LANG", "tr_TR.UTF-8"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("LANGUAGE", "tr:de"),
        ],
        ..Kind::default()
    })
}

#[test]
fn a_user_who_is_not_root() -> Result<()> {
    prove(&Kind {
        // Python may be in root's home, which the user may not see: everything in it gets a new place.
        setup: "home=~root && chown -R 65534:65534 \"$1\" && mkdir \"$1/of-root\" &&
            mount --bind \"$home\" \"$1/of-root\" && mount -t tmpfs -o mode=755 none \"$home\" &&
            for folder in \"$1\"/of-root/.[!.]*/; do
                mkdir -p \"$home/${folder##*/of-root/}\" &&
                mount --bind \"$folder\" \"$home/${folder##*/of-root/}\" || exit 1; done",
        wrap: &[
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ],
        refusals: &[(
            Broker::RabbitMq,
            "RabbitMQ without Docker needs root (it runs in a root folder of its own): run `sudo -E",
        )],
        ..Kind::default()
    })
}

#[test]
fn a_home_that_is_read_only() -> Result<()> {
    prove(&Kind {
        setup: "mkdir \"$1/home\" && mount --bind -o ro \"$1/home\" \"$1/home\" &&
            ! touch \"$1/home/x\" 2>/dev/null",
        ..Kind::default()
    })
}

#[test]
fn one_core() -> Result<()> {
    prove(&Kind {
        wrap: &["taskset", "--cpu-list", "0"],
        ..Kind::default()
    })
}

/// 256 is what a shell on macOS and some containers allow at first.
#[test]
fn few_files_at_once() -> Result<()> {
    prove(&Kind {
        wrap: &["prlimit", "--nofile=256:256"],
        ..Kind::default()
    })
}

/// Some container engines allow a billion; this is all that this machine does.
#[test]
fn very_many_files_at_once() -> Result<()> {
    prove(&Kind {
        wrap: &[
            "sh",
            "-c",
            "ulimit -Sn \"$(ulimit -Hn)\"; exec \"$@\"",
            "sh",
        ],
        ..Kind::default()
    })
}

/// A proxy that notes what it is asked for and hangs up.
#[test]
fn the_sdk_asks_a_proxy_for_this_machine() -> Result<()> {
    let binaries = program::binaries(&tests::root(), &[], &["sqs_send_receive"])?;
    let program = binaries
        .get("sqs_send_receive")
        .context("cargo built no program")?;
    for (variable, excepted) in [
        ("HTTP_PROXY", ""),
        ("ALL_PROXY", ""),
        ("HTTP_PROXY", "localhost"),
    ] {
        let proxy = TcpListener::bind("127.0.0.1:0")?;
        let address = proxy.local_addr()?;
        proxy.set_nonblocking(true)?;
        // Nothing listens there.
        let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let run = Command::new(program)
            .env_clear()
            .env("AWS_ENDPOINT_URL", format!("http://localhost:{closed}"))
            .envs([("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "test")])
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env(variable, format!("http://{address}"))
            .env("NO_PROXY", excepted)
            .output()?;
        let said = String::from_utf8_lossy(&run.stderr);
        ensure!(run.status.code() == Some(1), "{}: {said}", run.status);
        let was_asked = proxy.accept().is_ok();
        let expected = excepted.is_empty();
        ensure!(
            was_asked == expected,
            "{variable}, NO_PROXY={excepted}: the proxy was asked: {was_asked}"
        );
        ensure!(
            !said.contains(&address.to_string()),
            "it names the proxy now: {said}"
        );
    }
    Ok(())
}

/// Starts the sandbox, runs the programs at their default addresses, builds a book and ends the sandbox.
fn prove(kind: &Kind) -> Result<()> {
    let machine = Machine::new(kind)?;
    let refused = |broker: &Broker| kind.refusals.iter().any(|(other, _)| other == broker);
    for (broker, said) in kind.refusals {
        let up = machine.sandbox(&["up", broker.name()]).output()?;
        let errors = String::from_utf8_lossy(&up.stderr).into_owned();
        let error = errors.lines().find(|line| line.starts_with("error: "));
        let error = error.with_context(|| format!("up {broker} says no error:\n{errors}"))?;
        ensure!(
            up.status.code() == Some(1) && error.contains(said),
            "{error}"
        );
        ensure!(
            errors.lines().last() == Some(error),
            "more than a line:\n{errors}"
        );
    }
    let brokers: Vec<Broker> = Broker::ALL
        .into_iter()
        .filter(|broker| !refused(broker))
        .collect();
    let names = brokers.iter().map(|broker| broker.name());
    let names: Vec<&str> = ["up"].into_iter().chain(names).collect();
    succeeded("sandbox up", &machine.sandbox(&names).output()?)?;
    for (name, broker) in PROGRAMS {
        if brokers.contains(&broker) {
            let printed = succeeded(name, &machine.program(name)?.output()?)?;
            let example =
                guide::examples::Example::find(&tests::root(), name).map_err(anyhow::Error::msg)?;
            let recording = example
                .recording(&tests::root())
                .map_err(anyhow::Error::msg)?;
            compare(&recording.output, &printed, &recording.record.varies).context(name)?;
        }
    }
    let book = machine.folder.join("book");
    let built = machine
        .command(&machine.binary("guide")?, &["build", "--root"])
        .arg(&book)
        .output()?;
    succeeded("guide build", &built)?;
    ensure!(
        book.join("target/site/index.html").is_file(),
        "it built no page"
    );
    succeeded("sandbox down", &machine.sandbox(&["down"]).output()?)?;
    Ok(())
}

fn succeeded(what: &str, output: &Output) -> Result<String> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{what}: {}\n{said}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

struct Machine<'a> {
    kind: &'a Kind<'a>,
    /// Lives until its input is closed, and the namespaces with it.
    keeper: Child,
    folder: PathBuf,
    binaries: BTreeMap<String, PathBuf>,
    _temporary: TempDir,
}

impl<'a> Machine<'a> {
    fn new(kind: &'a Kind<'a>) -> Result<Self> {
        let root = tests::root();
        let prepared = Sandbox::prepare(&Broker::ALL)?;
        let programs = PROGRAMS.map(|(name, _)| name);
        let binaries = program::binaries(&root, &["sandbox", "guide"], &programs)?;

        let temporary = tempfile::tempdir_in("/tmp")?;
        fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755))?;
        let folder = temporary.path().join(match kind.folder {
            "" => "guide",
            folder => folder,
        });
        fs::create_dir(&folder)?;
        // Whoever is not root may not see this project's folder.
        for (name, file) in &binaries {
            fs::copy(file, folder.join(name))?;
        }
        copy(&root.join("guide/tests/fixture"), &folder.join("book"))?;
        copy(&root.join("book/theme"), &folder.join("book/book/theme"))?;
        fs::copy(root.join("book.toml"), folder.join("book/book.toml"))?;
        fs::write(folder.join("Cargo.toml"), "[workspace]\n")?;
        fs::create_dir_all(folder.join("target/sandbox"))?;

        let script = format!(
            "ip link set lo up && {} && mkdir \"$1/prepared\" && mount --bind \"$2\" \"$1/prepared\" && \
             echo ready && exec cat",
            match kind.setup {
                "" => "true",
                setup => setup,
            }
        );
        for entry in fs::read_dir(&prepared)? {
            let path = entry?.path();
            if path.join("complete").exists() {
                let name = path.file_name().unwrap_or_default();
                symlink(
                    folder.join("prepared").join(name),
                    folder.join("target/sandbox").join(name),
                )?;
            }
        }
        let mut keeper = Command::new("unshare")
            .args(["--net", "--mount", "--propagation", "private"])
            .args(["sh", "-c", &script, "machine"])
            .args([&folder, &prepared])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("this test needs `unshare` of util-linux")?;
        let mut line = String::new();
        let output = keeper.stdout.as_mut().context("no pipe")?;
        BufReader::new(output).read_line(&mut line)?;
        ensure!(
            line == "ready\n",
            "the machine was not made: this test needs root, and `ip` (apt-get install iproute2)"
        );
        Ok(Self {
            kind,
            keeper,
            folder,
            binaries,
            _temporary: temporary,
        })
    }

    fn binary(&self, name: &str) -> Result<PathBuf> {
        ensure!(self.binaries.contains_key(name), "cargo built no {name}");
        Ok(self.folder.join(name))
    }

    /// A command on the machine, with an environment that is a user's there.
    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        let keeper = self.keeper.id();
        command
            .args([
                format!("--net=/proc/{keeper}/ns/net"),
                format!("--mount=/proc/{keeper}/ns/mnt"),
            ])
            .args(self.kind.wrap)
            .arg(program)
            .args(arguments)
            .current_dir("/")
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(std::env::var_os("JAVA_HOME").map(|home| ("JAVA_HOME", home)))
            .env("HOME", self.folder.join("home"))
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .envs(self.kind.variables.iter().copied())
            .stdin(Stdio::null());
        command
    }

    fn sandbox(&self, arguments: &[&str]) -> Command {
        self.command(&self.folder.join("sandbox"), arguments)
    }

    /// A program as cargo starts it: with what `.cargo/config.toml` sets unless it is set.
    fn program(&self, name: &str) -> Result<Command> {
        let mut command = self.command(&self.binary(name)?, &[]);
        let text = fs::read_to_string(tests::root().join(".cargo/config.toml"))?;
        let config: toml::Table = text.parse()?;
        for (name, value) in config["env"].as_table().context("no [env]")? {
            if !self.kind.variables.iter().any(|(other, _)| other == name) {
                command.env(
                    name,
                    value.as_str().context("[env] has other values than text")?,
                );
            }
        }
        Ok(command)
    }
}

impl Drop for Machine<'_> {
    /// Nothing outlives a test that failed in the middle.
    fn drop(&mut self) {
        let _ = self.sandbox(&["down"]).output();
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            false => {
                fs::copy(entry.path(), to)?;
            }
        }
    }
    Ok(())
}
