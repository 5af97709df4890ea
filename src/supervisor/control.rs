//! Binding the control socket, for its owner alone.

use std::io;
use std::path::Path;

use super::unix::UnixSocket;
use crate::control::socket::{ControlError, prepare_directory, socket_path};

/// For its owner alone.
const MODE: u32 = 0o600;

/// Binds the control socket of the server that runs from `configuration`, for its owner alone. A
/// successor's waits beside that of its predecessor until it is published.
///
/// # Errors
/// Why it cannot be bound: above all that a living process has it.
pub(super) fn bind(configuration: &Path, is_successor: bool) -> Result<UnixSocket, ControlError> {
    let path = socket_path(configuration)?;
    prepare_directory(path.parent().unwrap_or(Path::new("/")))?;
    let bound = match is_successor {
        true => UnixSocket::bind_beside(&path, MODE),
        false => UnixSocket::bind(&path, Some(MODE)),
    };
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ControlError::AlreadyRunning { path },
        _ => ControlError::Bind { path, source },
    })
}

/// Puts a successor's control socket in the place of its predecessor's.
///
/// # Errors
/// What the system says.
pub(super) fn publish(socket: &UnixSocket) -> Result<(), ControlError> {
    socket.publish().map_err(|source| ControlError::Bind {
        path: socket.path().to_owned(),
        source,
    })
}
