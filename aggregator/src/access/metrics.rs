//! Figures of what is asked about readers.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// One label whose values are a closed set of words.
type Label = [(&'static str, &'static str); 1];

/// Questions about readers, those that found no room, and those that waited for others.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    asked: Family<Label, Counter>,
    refused: Family<Label, Counter>,
    put_off: Family<Label, Counter>,
}

/// What is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// A token that nobody knows.
    Token,
    /// A token that was good before.
    KnownToken,
    /// What somebody may do.
    Right,
    /// What somebody may do in one of many namespaces that they ask about.
    Namespace,
}

impl Of {
    const ALL: [Self; 4] = [Self::Token, Self::KnownToken, Self::Right, Self::Namespace];

    fn label(self) -> Label {
        [(
            "of",
            match self {
                Self::Token => "token",
                Self::KnownToken => "known_token",
                Self::Right => "right",
                Self::Namespace => "namespace",
            },
        )]
    }
}

impl Metrics {
    /// Makes them and shows them in the registry.
    pub fn new(registry: &mut Registry) -> Self {
        let m = Self::default();
        let r = registry.sub_registry_with_prefix("cairn_aggregator_access");
        let help = "Questions about readers that were sent to the Kubernetes API";
        r.register("questions", help, m.asked.clone());
        let help =
            "Questions about readers that found no room or no turn in time, each told to ask again";
        r.register("refused_questions", help, m.refused.clone());
        let help =
            "Questions about readers that were sent later for the sake of other readers' questions";
        r.register("put_off_questions", help, m.put_off.clone());
        for of in Of::ALL {
            // Each is there from the start, so that its first step is seen.
            drop(m.asked.get_or_create(&of.label()));
            drop(m.refused.get_or_create(&of.label()));
        }
        drop(m.put_off.get_or_create(&Of::Namespace.label()));
        m
    }

    pub(super) fn asked(&self, of: Of) {
        self.asked.get_or_create(&of.label()).inc();
    }

    pub(super) fn refused(&self, of: Of) {
        self.refused.get_or_create(&of.label()).inc();
    }

    pub(super) fn put_off(&self, of: Of) {
        self.put_off.get_or_create(&of.label()).inc();
    }

    #[cfg(test)]
    pub(super) fn count_of_put_off(&self, of: Of) -> u64 {
        self.put_off.get_or_create(&of.label()).get()
    }

    #[cfg(test)]
    pub(super) fn counts(&self, of: Of) -> (u64, u64) {
        let asked = self.asked.get_or_create(&of.label()).get();
        (asked, self.refused.get_or_create(&of.label()).get())
    }
}
