//! Results that are kept for the next build of the same process: a save changes one page of many.

use std::{
    collections::HashMap,
    convert::Infallible,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
};

/// What a function gave for its inputs. It knows them by a hash of 64 bits: they are whole pages.
pub struct Memo<V>(Mutex<HashMap<u64, V>>);

impl<V> Default for Memo<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V: Clone> Memo<V> {
    /// What is known for `input`, or what `make` gives, which must depend on nothing else. Two threads
    /// may make it at once.
    pub fn get_or(&self, input: impl Hash, make: impl FnOnce() -> V) -> V {
        let made: Result<_, Infallible> = self.try_get_or(input, || Ok(make()));
        made.unwrap_or_else(|never| match never {})
    }

    /// The same for a function that may fail.
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
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known().get(&key) {
            return Ok(value.clone());
        }
        let value = make()?;
        known().insert(key, value.clone());
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_made_once_and_an_error_again() {
        let memo = Memo::default();
        assert_eq!(memo.try_get_or("a", || Err(1)), Err(1));
        assert_eq!(memo.get_or("a", || 2), 2);
        assert_eq!(memo.get_or("a", || 3), 2);
        assert_eq!(memo.get_or("b", || 3), 3);
    }
}
