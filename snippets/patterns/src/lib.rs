//! The example programs of this system: see `examples/`.
