//! How fast this machine is, so that limits which guard against a hang follow it.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Stamp;

/// What the work takes on a usual machine, two cores of a server of 2020 that are free.
const USUAL: Duration = Duration::from_millis(120);
/// As many threads as a usual machine has cores: one core takes twice as long.
const CORES: usize = 2;
/// Nothing is that much slower: rather another program ran meanwhile.
const SLOWEST: f64 = 8.0;

/// A limit that is right on a usual machine, made longer on a slower one, never shorter.
pub fn scaled(limit: Duration) -> Duration {
    limit.mul_f64(slowness())
}

/// How many times slower than a usual machine this one is; at least 1. It is measured once for all
/// processes that one process has started, such as the test binaries of one `cargo test`.
pub fn slowness() -> f64 {
    static SLOWNESS: OnceLock<f64> = OnceLock::new();
    *SLOWNESS.get_or_init(|| {
        let file = shared();
        let known = file.as_ref().and_then(|file| fs::read_to_string(file).ok());
        if let Some(known) = known.and_then(|text| text.parse().ok()) {
            return known;
        }
        let measured = (took().as_secs_f64() / USUAL.as_secs_f64()).clamp(1.0, SLOWEST);
        if let Some(file) = file {
            // Whoever cannot write it measures again.
            let _ = fs::write(file, measured.to_string());
        }
        measured
    })
}

/// Where the processes of one starter share what was measured.
fn shared() -> Option<PathBuf> {
    let starter = rustix::process::getppid()?;
    let stamp = Stamp::of(starter.as_raw_nonzero().get()).ok()?;
    let layout = crate::layout::Layout::find().ok()?;
    let folder = layout.home.join("speed");
    fs::create_dir_all(&folder).ok()?;
    let file = folder.join(stamp.name());
    // One for each starter: those of earlier ones are of no use any more.
    for entry in fs::read_dir(&folder).ok()?.flatten() {
        if entry.path() != file {
            let _ = fs::remove_file(entry.path());
        }
    }
    Some(file)
}

/// The same work for each core at once. It is arithmetic and memory, as most of what tests wait for.
fn took() -> Duration {
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CORES {
            scope.spawn(work);
        }
    });
    started.elapsed()
}

fn work() {
    let mut memory = vec![1_u32; 1 << 20];
    let mut state = 1_u32;
    for _ in 0..3_000_000 {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let place = state as usize & (memory.len() - 1);
        memory[place] = memory[place].wrapping_add(state);
    }
    black_box(memory);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_shorter_than_on_a_usual_machine() {
        let limit = Duration::from_secs(10);
        assert!(scaled(limit) >= limit && scaled(limit) <= limit.mul_f64(SLOWEST));
        assert_eq!(slowness(), slowness());
    }

    #[test]
    fn processes_of_one_starter_share_what_was_measured() {
        let measured = slowness();
        let file = shared().unwrap();
        assert_eq!(fs::read_to_string(file).unwrap().parse(), Ok(measured));
    }
}
