//! Lists that are looked up by a hash that was computed once.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Where an item with a hash stands.
pub(crate) type Index = HashMap<u64, u32, BuildHasherDefault<Hashed>>;

/// Of a number that is a hash already.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
