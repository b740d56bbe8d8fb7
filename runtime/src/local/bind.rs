//! Makes the socket's file.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::Bound;

/// Why there is no socket. Each message names its path.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its directory is not there and cannot be made.
    #[error(
        "cannot make a directory for the socket {}: make it, writable for this user alone, or name \
         another path", .path.display()
    )]
    Directory {
        /// The socket's path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process listens there.
    #[error("the socket {} is another process's: name another path or stop that process", .path.display())]
    InUse {
        /// The socket's path.
        path: PathBuf,
    },
    /// It could not be made otherwise.
    #[error(
        "cannot listen on the socket {}: its directory must be writable, and its path shorter than \
         108 bytes", .path.display()
    )]
    Bind {
        /// The socket's path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Makes a socket that its owner alone may use. A directory that is missing is made for this user alone;
/// what a process that is gone left behind is replaced. Must be called inside a tokio runtime.
///
/// # Errors
///
/// One variant of [`Error`] per thing to do about it.
pub async fn bind(path: &Path) -> Result<Bound, Error> {
    let owned = || path.to_owned();
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        && !parent.exists()
    {
        let made = DirBuilder::new().mode(0o700).create(parent);
        made.map_err(|source| Error::Directory {
            path: owned(),
            source,
        })?;
    }
    let failed = |source| Error::Bind {
        path: owned(),
        source,
    };
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if !is_left_behind(path) {
                return Err(Error::InUse { path: owned() });
            }
            fs::remove_file(path).map_err(failed)?;
            UnixListener::bind(path)
        }
        bound => bound,
    };
    let bound = Bound {
        listener: listener.map_err(failed)?,
        path: owned(),
    };
    // Until then it has what the umask leaves, and each client is asked for its user anyway.
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(bound)
}

/// True of a socket at which nobody listens any more.
fn is_left_behind(path: &Path) -> bool {
    // A file of another kind refuses connections, too.
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && UnixStream::connect(path).err().is_some_and(refused)
}
