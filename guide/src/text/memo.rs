//! Results that are kept for the next build of the same server: a save changes one page of many.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What a function gave for its inputs. It knows them by a hash of 64 bits: they are whole pages.
pub struct Memo<V>(Mutex<Known<V>>);

struct Known<V> {
    /// Each result with the round in which it was asked for last.
    results: HashMap<u64, (u64, V)>,
    round: u64,
}

impl<V> Default for Memo<V> {
    fn default() -> Self {
        Self(Mutex::new(Known {
            results: HashMap::new(),
            round: 0,
        }))
    }
}

impl<V: Clone> Memo<V> {
    /// What is known for `input`, or what `make` gives, which must depend on nothing else. Two threads
    /// may make it at once.
    ///
    /// # Errors
    /// What `make` failed with; it is tried again the next time.
    pub fn try_get_or<E>(
        &self,
        input: impl Hash,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        let mut hasher = DefaultHasher::new();
        input.hash(&mut hasher);
        let key = hasher.finish();
        let mut known = self.known();
        let round = known.round;
        if let Some((last, value)) = known.results.get_mut(&key) {
            *last = round;
            return Ok(value.clone());
        }
        drop(known);
        let value = make()?;
        self.known().results.insert(key, (round, value.clone()));
        Ok(value)
    }

    /// Forgets what nobody has asked for since the last time.
    pub fn forget_unused(&self) {
        let mut known = self.known();
        let round = known.round;
        known.results.retain(|_, (last, _)| *last == round);
        known.round += 1;
    }

    fn known(&self) -> MutexGuard<'_, Known<V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_made_once_an_error_again_and_what_is_unused_is_forgotten() {
        let memo = Memo::default();
        let get = |input, result: Result<i32, i32>| memo.try_get_or(input, || result);
        assert_eq!(get("a", Err(1)), Err(1));
        assert_eq!(get("a", Ok(2)), Ok(2));
        assert_eq!(get("a", Ok(3)), Ok(2));
        assert_eq!(get("b", Ok(3)), Ok(3));
        memo.forget_unused();
        assert_eq!(get("b", Ok(4)), Ok(3));
        memo.forget_unused();
        assert_eq!(get("a", Ok(4)), Ok(4));
        assert_eq!(get("b", Ok(5)), Ok(3));
    }
}
