//! The bad things that an agent can do, and what is due to it.

/// What a hostile agent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Names pods without end.
    Names,
    /// Sends rows that lie an hour ahead.
    Future,
    /// Sends rows that are an hour old.
    Past,
    /// Repeats a wide keyframe.
    Keyframes,
    /// Sends half a row.
    Truncated,
    /// Sends a frame over the limit.
    Oversized,
    /// Sends texts that fill a frame each.
    Texts,
    /// Sends a chunk that nobody asked for.
    Unasked,
    /// Asks for as many names as a question may have, and asks again.
    Questions,
    /// Wants to report another node.
    Impostor,
}

/// What an aggregator answers one of them with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Its streams end with a status that begins and goes on like this.
    Ended(&'static str, &'static str),
    /// Its stream is read more slowly, counted as this.
    Slowed(&'static str),
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 10] = [
        Kind::Names,
        Kind::Future,
        Kind::Past,
        Kind::Keyframes,
        Kind::Truncated,
        Kind::Oversized,
        Kind::Texts,
        Kind::Unasked,
        Kind::Questions,
        Kind::Impostor,
    ];

    /// What is due to it.
    #[must_use]
    pub fn due(self) -> Due {
        match self {
            Kind::Names => Due::Slowed("entities"),
            Kind::Future | Kind::Past => Due::Ended("FailedPrecondition", "check the clock"),
            Kind::Keyframes => Due::Slowed("rows"),
            Kind::Truncated => Due::Ended("InvalidArgument", "ends inside"),
            Kind::Oversized => Due::Ended("InvalidArgument", "not one of this protocol"),
            Kind::Unasked => Due::Ended("InvalidArgument", "not asked for"),
            Kind::Texts | Kind::Questions => Due::Slowed("bytes"),
            Kind::Impostor => Due::Ended("PermissionDenied", "does not belong to node"),
        }
    }
}
