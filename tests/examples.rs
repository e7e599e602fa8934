//! Every example against real brokers, and against brokers that are not there.
//!
//! Phases, because they share names or the machine: the programs side by side; the same after a run
//! that was cut off; then all names that were seen, and the neighbours that stood beside each program
//! all the time; then the programs with a fault in their way, which mostly wait.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use guide::examples::{Example, Kind};
use libtest_mimic::{Arguments, Failed, Trial};
use sandbox::machine::{scaled, slowness};
use tests::{
    brokers::Brokers,
    compare::compare,
    fault::{self, Fault, Ports, Scene},
    inventory::{Inventory, Named, Watch, owner},
    neighbours::Neighbours,
    program::{self, Executable},
};
use tokio::runtime::Runtime;

/// Three times as long as any program takes on a usual machine that is busy with others; a program has
/// deadlines of its own.
const LIMIT: Duration = Duration::from_secs(240);
/// How many of the programs are told that came nearest to their limit.
const LONGEST: usize = 5;
/// Programs side by side. They wait for brokers more than they compute.
const AT_ONCE: usize = 16;
const FAULTS_AT_ONCE: usize = 100;

/// The test that looks at all names at once.
const NAMED: &str = "every_name_begins_with_its_program";

/// What all tests share. Dropping it ends the brokers.
struct World {
    root: PathBuf,
    names: Vec<String>,
    runtime: Runtime,
    inventory: Arc<Inventory>,
    neighbours: Neighbours,
    /// The programs that have run, and how long each took.
    have_run: Mutex<BTreeMap<String, Duration>>,
    ports: Ports,
    brokers: Brokers,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("examples: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let root = tests::root();
    let examples = tests::examples(&root)?;
    let titles = titles(&examples);
    let selected = titles.iter().any(|title| is_selected(arguments, title));
    if arguments.list || !selected {
        // Nothing will run, so nothing is started.
        let trials = titles
            .into_iter()
            .map(|title| Trial::test(title, || Ok(())));
        return Ok(libtest_mimic::run(arguments, trials.collect()).exit_code());
    }

    let names = examples.iter().map(|example| example.name.clone());
    let names: Vec<String> = names.collect();
    let mut examples = examples;
    examples.retain(|example| {
        let titles = self::titles(std::slice::from_ref(example));
        titles.iter().any(|title| is_selected(arguments, title))
    });
    let executables = program::build(&root, &examples)?;
    let programs = examples.into_iter().map(|example| {
        let executable = executables[&example.name].clone();
        (example, executable)
    });
    let programs: Vec<(Example, Executable)> = programs.collect();
    let world = Arc::new(World::start(root, names, &programs, arguments)?);

    let watch = Watch::start(world.inventory.clone(), world.runtime.handle().clone());
    let side_by_side = with_threads(arguments, AT_ONCE);
    let prints = programs.iter().map(|program| prints(&world, program));
    let first = libtest_mimic::run(&side_by_side, prints.collect());
    let cut_off = programs
        .iter()
        .filter(|(example, _)| is_cut_off(example))
        .map(|program| prints_after_a_cut(&world, program));
    let second = libtest_mimic::run(&side_by_side, cut_off.collect());

    let (seen, names) = (watch.stop(), world.names.clone());
    let named = Trial::test(NAMED, move || {
        check(seen.and_then(|seen| all_owned(&seen, &names)))
    });
    let beside = programs.iter().filter(|(example, _)| is_cut_off(example));
    let mut looks: Vec<Trial> = beside
        .map(|program| leaves_neighbours(&world, program))
        .collect();
    looks.push(named);
    world.tell_longest();
    let third = libtest_mimic::run(&side_by_side, looks);

    let faults = programs
        .iter()
        .flat_map(|program| with_faults(&world, program));
    let fourth = libtest_mimic::run(&with_threads(arguments, FAULTS_AT_ONCE), faults.collect());

    world.leave()?;
    drop(world); // ends the brokers also when a test failed
    let phases = [first, second, third, fourth];
    let failed = phases.iter().any(libtest_mimic::Conclusion::has_failed);
    Ok(if failed {
        ExitCode::from(101)
    } else {
        ExitCode::SUCCESS
    })
}

impl World {
    fn start(
        root: PathBuf,
        names: Vec<String>,
        programs: &[(Example, Executable)],
        arguments: &Arguments,
    ) -> Result<Self> {
        let mut brokers = Brokers::start()?;
        let runtime = Runtime::new()?;
        let selected = programs.iter().map(|(example, _)| example);
        let selected: Vec<&Example> = selected
            .filter(|example| is_selected(arguments, &neighbours_title(example)))
            .collect();
        let is_session = |(example, _): &(Example, _)| {
            let titles = [prints_title(example), cut_title(example)];
            let is_selected = titles.iter().any(|title| is_selected(arguments, title));
            example.kind == Kind::Transcript && is_selected
        };
        if programs.iter().any(is_session) {
            brokers.share_tools()?;
        }
        let neighbours = runtime.block_on(Neighbours::settle(&selected, &brokers))?;
        let inventory = Inventory::new(&brokers, neighbours.names());
        let inventory = Arc::new(runtime.block_on(inventory)?);
        let ports = runtime.block_on(async { Ports::new() })?;
        Ok(Self {
            root,
            names,
            runtime,
            inventory,
            neighbours,
            have_run: Mutex::default(),
            ports,
            brokers,
        })
    }

    /// Removes the neighbours from brokers that live on.
    fn leave(&self) -> Result<()> {
        match self.brokers.sandbox() {
            Some(_) => Ok(()),
            None => self.runtime.block_on(self.neighbours.leave()),
        }
    }

    fn have_run(&self) -> MutexGuard<'_, BTreeMap<String, Duration>> {
        self.have_run.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells which programs came nearest to their limit: none may need more than a third of it where
    /// two slow cores run all of them.
    fn tell_longest(&self) {
        let limit = scaled(LIMIT);
        let mut longest: Vec<_> = self.have_run().clone().into_iter().collect();
        longest.sort_by_key(|(_, took)| std::cmp::Reverse(*took));
        longest.truncate(LONGEST);
        let share = |took: Duration| 100.0 * took.as_secs_f64() / limit.as_secs_f64();
        let longest = longest.iter().map(|(name, took)| {
            let warning = if share(*took) > 34.0 {
                ", too much"
            } else {
                ""
            };
            format!(
                "{name} {:.0} s ({:.0} %{warning})",
                took.as_secs_f64(),
                share(*took)
            )
        });
        println!(
            "longest of a limit of {:.0} s, on a machine {:.1} times slower than usual: {}\n",
            limit.as_secs_f64(),
            slowness(),
            longest.collect::<Vec<_>>().join(", ")
        );
    }

    /// Notes that a program has run, and how long it took at the most.
    fn note(&self, example: &Example, took: Duration) {
        let mut programs = self.have_run();
        let longest = programs.entry(example.name.clone()).or_default();
        *longest = took.max(*longest);
    }

    /// Runs a program, holds what it printed against its recording, and looks for what it left.
    async fn prove(&self, example: &Example, executable: &Executable) -> Result<()> {
        let recording = example.recording(&self.root).map_err(anyhow::Error::msg)?;
        let started = Instant::now();
        let run = program::run(executable, self.brokers.variables(), scaled(LIMIT)).await;
        self.note(example, started.elapsed());
        let run = run?;
        compare(
            &recording.output,
            &run.succeeded()?,
            &recording.record.varies,
        )
        .with_context(|| {
            let name = &example.name;
            format!("if the new output is right: cargo run --bin record {name}")
        })?;
        self.inventory.wait_for_none_of(example, &self.names).await
    }
}

/// The test that a program prints what its page shows and leaves nothing behind.
fn prints(world: &Arc<World>, (example, executable): &(Example, Executable)) -> Trial {
    let (world, example, executable) = (world.clone(), example.clone(), executable.clone());
    Trial::test(prints_title(&example), move || {
        check(world.runtime.block_on(world.prove(&example, &executable)))
    })
}

/// The same test after a run that was killed in the middle: what that left must be no hindrance.
fn prints_after_a_cut(world: &Arc<World>, (example, executable): &(Example, Executable)) -> Trial {
    let (world, example, executable) = (world.clone(), example.clone(), executable.clone());
    Trial::test(cut_title(&example), move || {
        check(world.runtime.block_on(async {
            program::interrupt(&executable, world.brokers.variables(), scaled(LIMIT)).await?;
            world.prove(&example, &executable).await
        }))
    })
}

/// The test that a program has not touched what stood beside it while it ran and was cut off.
fn leaves_neighbours(world: &Arc<World>, (example, _): &(Example, Executable)) -> Trial {
    let (world, name) = (world.clone(), example.name.clone());
    Trial::test(neighbours_title(example), move || {
        if !world.have_run().contains_key(&name) {
            return Err("it has not run: run the program in the same call".into());
        }
        check(
            world
                .runtime
                .block_on(world.neighbours.are_untouched(&name)),
        )
    })
}

/// The tests that a program ends well when its broker does not answer as it should.
fn with_faults(world: &Arc<World>, (example, executable): &(Example, Executable)) -> Vec<Trial> {
    let faults = faults_of(example).iter().copied();
    let trial = |fault: Fault| {
        let (world, example, executable) = (world.clone(), example.clone(), executable.clone());
        Trial::test(fault_title(&example, fault), move || {
            let scene = Scene::new(fault, example.system(), &world.ports, &world.brokers);
            check(scene.and_then(|scene| {
                // A little more than allowed, so that a program that is late can still explain.
                let limit = fault::limit() * 2;
                let run = program::run(&executable, &scene.variables, limit);
                scene.judge(&world.runtime.block_on(run)?)
            }))
        })
    };
    faults.map(trial).collect()
}

/// Whether a run that is cut off can leave something behind: a test of `snippets/` has no broker.
fn is_cut_off(example: &Example) -> bool {
    example.kind != Kind::Test
}

/// The faults that an example explains itself. What a system's own tools say is not the guide's.
fn faults_of(example: &Example) -> &'static [Fault] {
    match example.kind {
        Kind::Program => Fault::of(example.system()),
        Kind::Transcript | Kind::Test | Kind::Guarantee => &[],
    }
}

/// Everything that was seen in the brokers must carry the name of a program.
fn all_owned(seen: &BTreeSet<Named>, names: &[String]) -> Result<()> {
    ensure!(
        !seen.is_empty(),
        "no name was seen: run the programs in the same call"
    );
    let strays: Vec<String> = seen
        .iter()
        .filter(|named| owner(named, names).is_none())
        .map(Named::to_string)
        .collect();
    ensure!(
        strays.is_empty(),
        "no program has a name that these begin with: {}; call a topic of kafka_consume \
         kafka-consume.orders, a queue of sqs_send_receive sqs-send-receive-orders",
        strays.join(", ")
    );
    Ok(())
}

fn prints_title(example: &Example) -> String {
    format!("{}::prints_what_was_recorded", example.name)
}

fn cut_title(example: &Example) -> String {
    format!("{}::prints_the_same_after_a_run_cut_off", example.name)
}

fn neighbours_title(example: &Example) -> String {
    format!("{}::leaves_its_neighbours_alone", example.name)
}

fn fault_title(example: &Example, fault: Fault) -> String {
    format!("{}::{}", example.name, fault.name())
}

/// The titles of all tests, without starting anything.
fn titles(examples: &[Example]) -> Vec<String> {
    let of_faults = |example: &Example| {
        let faults = faults_of(example).iter();
        let titles = faults.map(|fault| fault_title(example, *fault));
        titles.collect::<Vec<_>>()
    };
    let mut titles: Vec<String> = examples.iter().map(prints_title).collect();
    titles.extend(examples.iter().filter(|e| is_cut_off(e)).map(cut_title));
    titles.extend(
        examples
            .iter()
            .filter(|e| is_cut_off(e))
            .map(neighbours_title),
    );
    titles.push(NAMED.to_owned());
    titles.extend(examples.iter().flat_map(of_faults));
    titles
}

/// Whether the command line asks for a test: as libtest does it, by part of its title.
fn is_selected(arguments: &Arguments, title: &str) -> bool {
    let matches = |text: &String| match arguments.exact {
        true => title == text,
        false => title.contains(text.as_str()),
    };
    arguments.filter.as_ref().is_none_or(matches) && !arguments.skip.iter().any(matches)
}

fn with_threads(arguments: &Arguments, threads: usize) -> Arguments {
    let mut arguments = arguments.clone();
    arguments.test_threads = arguments.test_threads.or(Some(threads));
    arguments
}

fn check(result: Result<()>) -> Result<(), Failed> {
    result.map_err(|error| format!("{error:#}").into())
}
