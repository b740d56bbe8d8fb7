//! Room for sockets: each stream is one, and a process begins with room for few.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors beside the streams: listeners, the runtime's own, files being read.
const SPARE: u64 = 64;

/// The system does not let this process open so many sockets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The hard limit is in the way.
    #[error(
        "{needed} descriptors are needed and the hard limit is {hard}: raise it (ulimit -Hn {needed} \
         as root, or LimitNOFILE= of the service), or take fewer agents"
    )]
    Hard {
        /// What the streams need.
        needed: u64,
        /// What there may be at most.
        hard: u64,
    },
    /// The soft limit cannot be raised.
    #[error("the limit of descriptors cannot be raised to {hard}")]
    Soft {
        /// The hard limit, to which it was to be raised.
        hard: u64,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// Raises the soft limit of descriptors to the hard one, for this process and those that it starts,
/// and checks that so many streams fit.
///
/// # Errors
///
/// See [`Error`].
pub fn make_room(streams: usize) -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let needed = streams as u64 + SPARE;
    if needed > hard {
        return Err(Error::Hard { needed, hard });
    }
    if limit.current.is_some_and(|soft| soft < hard) {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        setrlimit(Resource::Nofile, raised).map_err(|errno| Error::Soft {
            hard,
            source: errno.into(),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Error, make_room};

    #[test]
    fn a_hard_limit_that_is_too_low_is_told_with_what_to_do() {
        make_room(1).unwrap();
        // No system has so many.
        let refused = make_room(usize::MAX / 2);
        if let Err(error @ Error::Hard { .. }) = refused {
            assert!(error.to_string().contains("ulimit -Hn"), "{error}");
        }
    }
}
