//! Which process a connection is of, told by a text that is made up at random: numbers of processes come again, in every
//! container the same ones. It is no secret and proves nothing.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The same for all connections that are made with clones of the same options.
#[derive(Debug, Clone)]
pub struct Process(String);

/// Options that differ only in who they were made by are the same.
impl PartialEq for Process {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Process {}

impl Process {
    /// One that no other process has.
    pub(super) fn new() -> Self {
        // The standard library's hasher is keyed at random.
        let random = || RandomState::new().build_hasher().finish();
        Self(format!("{:016x}{:016x}", random(), random()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
