//! What a test can break, and for how many requests.

use serde::Deserialize;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/stats/summary`, the whole of it.
    Summary,
    /// `/stats/summary?only_cpu_and_memory=true`. Counted by itself, since it costs a kubelet less; what is
    /// answered is the whole, for no test looks at it.
    SummaryOfCpuAndMemory,
    /// `/metrics/resource`.
    Resource,
    /// `/metrics/cadvisor`.
    Cadvisor,
    /// `/pods`, which is not here: a token that may read statistics may not read pods.
    Pods,
    /// Any other path.
    Other,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Summary,
        Self::SummaryOfCpuAndMemory,
        Self::Resource,
        Self::Cadvisor,
        Self::Pods,
        Self::Other,
    ];

    /// What it is called in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Summary => "summary",
            Self::SummaryOfCpuAndMemory => "summary_cpu_and_memory",
            Self::Resource => "resource",
            Self::Cadvisor => "cadvisor",
            Self::Pods => "pods",
            Self::Other => "other",
        }
    }

    /// Which one a request is for.
    #[must_use]
    pub(super) fn of(path: &str, query: Option<&str>) -> Self {
        let is_short = query.is_some_and(|query| {
            let mut asked = query.split('&');
            asked.any(|asked| asked == "only_cpu_and_memory=true")
        });
        match path {
            "/stats/summary" if is_short => Self::SummaryOfCpuAndMemory,
            "/stats/summary" => Self::Summary,
            "/metrics/resource" => Self::Resource,
            "/metrics/cadvisor" => Self::Cadvisor,
            "/pods" => Self::Pods,
            _ => Self::Other,
        }
    }
}

/// What an [`Order`] is about.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// `/stats/summary` alone.
    Summary,
    /// `/metrics/resource` alone.
    Resource,
    /// `/metrics/cadvisor` alone.
    Cadvisor,
    /// All of them.
    All,
}

/// How an answer is broken. As JSON: `{"kind":"slow","ms":500}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Fault {
    /// It is not.
    None,
    /// The whole answer comes this many milliseconds late.
    Slow {
        /// The delay, milliseconds.
        ms: u64,
    },
    /// No byte is ever answered; the connection stays open.
    Hang,
    /// The connection is cut after this many bytes of the body.
    Truncate {
        /// How many bytes come.
        at: usize,
    },
    /// A status instead of an answer, with the kubelet's text for 401 and 403.
    Status {
        /// The HTTP status, 100-599; another number gives 500.
        code: u16,
    },
    /// The right header with a body of random bytes.
    Garbage,
    /// The right header with this body.
    Body {
        /// The body.
        text: String,
    },
    /// The right header with this text, and behind it a line of so many bytes that has no end.
    LongLine {
        /// What comes first: whole lines, and the beginning of the long one.
        text: String,
        /// How many bytes are added to it.
        bytes: usize,
    },
    /// A summary whose pods do not end, said to be so long and, if it is read, so long indeed.
    Huge {
        /// Its length in bytes.
        bytes: u64,
    },
    /// Spaces without end, until the client hangs up.
    Endless,
    /// A redirect to another path of the simulator; a request there is counted as
    /// [`Endpoint::Other`].
    Redirect,
    /// The right body, said to be HTML.
    ContentType,
    /// The right body, so many bytes a second.
    Drip {
        /// The pace, bytes a second; 0 counts as 1.
        bytes_per_s: u64,
    },
}

/// An order to break one endpoint or all. As JSON:
/// `{"endpoint":"summary","fault":{"kind":"hang"},"for_requests":3}`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Which endpoint.
    pub endpoint: Reach,
    /// How. [`Fault::None`] mends it.
    pub fault: Fault,
    /// For how many requests; `None` until the next order.
    #[serde(default)]
    pub for_requests: Option<u64>,
}

/// The fault of one endpoint.
#[derive(Debug)]
pub(super) struct Slot {
    fault: Fault,
    left: Option<u64>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            fault: Fault::None,
            left: None,
        }
    }
}

impl Slot {
    /// Follows an order for this endpoint.
    pub(super) fn set(&mut self, order: &Order) {
        self.fault = order.fault.clone();
        self.left = order.for_requests;
    }

    /// The fault of the next request, which uses it up by one.
    pub(super) fn take(&mut self) -> Fault {
        match &mut self.left {
            None => {}
            Some(0) => *self = Self::default(),
            Some(left) => *left -= 1,
        }
        self.fault.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Order, Reach, Slot};

    #[test]
    fn orders_are_read_from_json() {
        let read = |text: &str| serde_json::from_str::<Order>(text);
        let order =
            read(r#"{"endpoint":"summary","fault":{"kind":"slow","ms":5},"for_requests":null}"#);
        let slow = Order {
            endpoint: Reach::Summary,
            fault: Fault::Slow { ms: 5 },
            for_requests: None,
        };
        assert_eq!(order.unwrap(), slow);
        let order = read(r#"{"endpoint":"all","fault":{"kind":"content_type"},"for_requests":2}"#);
        assert_eq!(order.unwrap().endpoint, Reach::All);
        assert!(read(r#"{"endpoint":"all","fault":{"kind":"explode"}}"#).is_err());
        assert!(read(r#"{"endpoint":"all","fault":{"kind":"hang"},"for":1}"#).is_err());
    }

    #[test]
    fn a_fault_lasts_for_the_requests_asked_for() {
        let mut slot = Slot::default();
        assert_eq!(slot.take(), Fault::None);
        slot.set(&Order {
            endpoint: Reach::Resource,
            fault: Fault::Hang,
            for_requests: Some(2),
        });
        let taken: Vec<Fault> = (0..4).map(|_| slot.take()).collect();
        assert_eq!(taken, [Fault::Hang, Fault::Hang, Fault::None, Fault::None]);
    }
}
