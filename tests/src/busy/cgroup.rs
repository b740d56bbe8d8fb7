//! One cgroup of a pod: how much it uses at which time.

/// Memory comes in pages of this size.
const PAGE_BYTES: u64 = 4_096;

/// Distance of two measurements of a kubelet: from this on, by cgroup up to 5 s more.
const MEASURED_EVERY_MS: u64 = 10_000;

/// A kubelet measures what is new so soon, ms.
const MEASURED_AFTER_MS: u64 = 200;

/// One cgroup below a pod.
#[derive(Clone, Debug)]
pub(super) struct Cgroup {
    /// The runtime's id.
    pub(super) id: String,
    /// The container's name; empty of a sandbox.
    pub(super) name: String,
    pub(super) from_ms: u64,
    number: u64,
    base_micros: u64,
    micros_a_second: u64,
}

impl Cgroup {
    /// A pause container: what it uses it uses at its start.
    pub(super) fn sandbox(number: u64, from_ms: u64) -> Self {
        Self::new(number, "", from_ms, 0)
    }

    /// A container; every other one uses CPU all the time.
    pub(super) fn container(number: u64, name: &str, from_ms: u64) -> Self {
        let is_busy = (number / 8).is_multiple_of(2);
        Self::new(number, name, from_ms, u64::from(is_busy) * (900 + number))
    }

    fn new(number: u64, name: &str, from_ms: u64, micros_a_second: u64) -> Self {
        Self {
            id: format!(
                "{:064x}",
                u128::from(number + 1) * 0x9e37_79b9_7f4a_7c15_f39c
            ),
            name: name.to_owned(),
            from_ms,
            number,
            base_micros: 17_000 + number * 37,
            micros_a_second,
        }
    }

    /// CPU time at a time.
    pub(super) fn cpu_micros(&self, unix_ms: u64) -> u64 {
        let lived_ms = unix_ms.saturating_sub(self.from_ms);
        self.base_micros + self.micros_a_second * lived_ms / 1_000
    }

    /// Memory at a time.
    pub(super) fn memory_bytes(&self, unix_ms: u64) -> u64 {
        let moves = u64::from(self.micros_a_second > 0) * (unix_ms / 1_000 % 64);
        (1_000 + self.number + moves) * PAGE_BYTES
    }

    /// When a kubelet measured it last, which is asked at `unix_ms`; `None` before the first time.
    pub(super) fn measured_ms(&self, unix_ms: u64) -> Option<u64> {
        let first_ms = self.from_ms + MEASURED_AFTER_MS;
        let every_ms = MEASURED_EVERY_MS + self.number % 6 * 1_000;
        let since_ms = unix_ms.checked_sub(first_ms)?;
        Some(first_ms + since_ms / every_ms * every_ms)
    }
}
