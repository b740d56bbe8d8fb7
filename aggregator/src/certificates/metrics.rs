//! Figures of the certificates.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::told::About;

/// One label whose values are a closed set of words.
type Label = [(&'static str, &'static str); 1];

/// Object and kind.
type Labels = [(&'static str, &'static str); 2];

/// Figures of the certificates that look after themselves.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    leaf_expiry: Gauge,
    ca_expiry: Gauge,
    leads: Gauge,
    given_back: Counter,
    foreign: Gauge,
    clock_offset: Gauge,
    clock_held: Gauge,
    last_write: Family<Label, Gauge>,
    writes: Family<Label, Counter>,
    resets: Family<Label, Counter>,
    failures: Family<Labels, Counter>,
}

impl Metrics {
    /// Makes them and shows them in the registry.
    pub fn new(registry: &mut Registry) -> Self {
        let m = Self::default();
        let r = registry.sub_registry_with_prefix("cairn_aggregator_certificates");
        let help = "When the serving certificate ends, Unix time; 0 before there is one";
        r.register("leaf_expiry_timestamp_seconds", help, m.leaf_expiry.clone());
        let help = "When the CA ends that signs, Unix time; 0 before there is one";
        r.register("ca_expiry_timestamp_seconds", help, m.ca_expiry.clone());
        let help = "1 on the replica that writes";
        r.register("leads", help, m.leads.clone());
        let help = "Times that this replica gave the Lease back since its clock was off";
        r.register("lease_given_back", help, m.given_back.clone());
        let help = "1 when the APIService is another's, and so left alone";
        r.register("api_service_foreign", help, m.foreign.clone());
        let help = "By how much this clock was ahead of the API server's at the last look; where that did not say, 0, or \
                    what it was by a time told within the last minute if it was off then";
        r.register("clock_offset_seconds", help, m.clock_offset.clone());
        let help = "1 while this replica changes nothing because its clock and the API server's are too far apart, or \
                    cannot be compared";
        r.register("clock_held", help, m.clock_held.clone());
        let help = "When an object was last written by this replica, Unix time";
        r.register("last_write_timestamp_seconds", help, m.last_write.clone());
        let help = "Objects written, by object";
        r.register("writes", help, m.writes.clone());
        let help = "Times that somebody else took away what was written, by object";
        r.register("resets", help, m.resets.clone());
        let help = "Looks and writes that failed, by object and kind";
        r.register("failures", help, m.failures.clone());
        for about in About::OBJECTS {
            let of = [("object", about.as_str())];
            // Each is there from the start, so that its first step is seen.
            drop(m.writes.get_or_create(&of));
            drop(m.resets.get_or_create(&of));
        }
        m
    }

    pub(super) fn expiry(&self, leaf_s: u64, ca_s: u64) {
        let figure = |unix_s: u64| i64::try_from(unix_s).unwrap_or(i64::MAX);
        self.leaf_expiry.set(figure(leaf_s));
        self.ca_expiry.set(figure(ca_s));
    }

    pub(super) fn leads(&self, leads: bool) {
        self.leads.set(i64::from(leads));
    }

    pub(super) fn gave_back(&self) {
        self.given_back.inc();
    }

    pub(super) fn foreign(&self, foreign: bool) {
        self.foreign.set(i64::from(foreign));
    }

    /// How the clocks are to each other, both Unix seconds, and whether nothing is changed for it.
    pub(super) fn clock(&self, now_s: u64, server_s: Option<u64>, is_held: bool) {
        let server_s = server_s.unwrap_or(now_s);
        let ahead_s = i128::from(now_s) - i128::from(server_s);
        let ahead_s = i64::try_from(ahead_s).unwrap_or(i64::MAX);
        self.clock_offset.set(ahead_s);
        self.clock_held.set(i64::from(is_held));
    }

    pub(super) fn written(&self, about: About, now_s: u64) {
        let of = [("object", about.as_str())];
        self.writes.get_or_create(&of).inc();
        let at = i64::try_from(now_s).unwrap_or(i64::MAX);
        self.last_write.get_or_create(&of).set(at);
    }

    pub(super) fn reset(&self, about: About) {
        self.resets
            .get_or_create(&[("object", about.as_str())])
            .inc();
    }

    pub(super) fn failed(&self, about: About, kind: &'static str) {
        let of = [("object", about.as_str()), ("kind", kind)];
        self.failures.get_or_create(&of).inc();
    }

    #[cfg(test)]
    pub(super) fn held_by_clock(&self) -> (i64, i64) {
        (self.clock_offset.get(), self.clock_held.get())
    }

    /// Whether it holds the Lease, and how often it gave it back.
    #[cfg(test)]
    pub(super) fn holds(&self) -> (i64, u64) {
        (self.leads.get(), self.given_back.get())
    }

    #[cfg(test)]
    pub(super) fn resets(&self, about: About) -> u64 {
        self.resets
            .get_or_create(&[("object", about.as_str())])
            .get()
    }
}
