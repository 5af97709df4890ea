//! Starting a script: its variables, its input and its output. It runs on the blocking pool,
//! because making a process takes a moment.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdout, Command, Stdio};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;

use crate::config::model::DEFAULT_PATH;
use crate::disk::spool::Spooled;
use crate::handlers::gateway::meta_variables::MetaVariables;
use crate::log::diagnostic;
use crate::runtime::descriptors::note_shortage;
use crate::runtime::{Permit, Process};

/// A script to be started.
pub(super) struct Invocation {
    /// Its absolute path.
    pub(super) program: PathBuf,
    pub(super) variables: MetaVariables,
    /// Variables of the operator. They replace those of the same name in `variables`.
    pub(super) environment: Vec<(String, String)>,
    /// Its standard input: the request's content.
    pub(super) input: Spooled,
}

/// A script that was started, on its way from the pool to the loop.
pub(super) struct Started {
    pub(super) process: Process<Permit>,
    pub(super) output: ChildStdout,
    pub(super) errors: ChildStderr,
}

/// Why a script cannot be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("it lacks the executable bit: chmod +x {}", .0.display())]
    NotExecutable(PathBuf),
    #[error("it is no program, and no \"#!\" line says which one runs it")]
    NoProgram,
    #[error("the program that its \"#!\" line names is not there")]
    NoInterpreter,
    #[error("the content cannot be kept for it")]
    Input(#[source] io::Error),
    #[error("the system refuses")]
    Refused(#[source] io::Error),
}

impl Invocation {
    /// Starts the script; `permit` is given back when nothing is left of it.
    pub(super) fn start(self, permit: Permit) -> Result<Started, StartError> {
        diagnostic::debug(format_args!("starting {}", self.program.display()));
        let mut command = Command::new(&self.program);
        command.env_clear();
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH));
        command.env("PATH", path);
        for (name, value) in self.variables.iter() {
            command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
        }
        command.envs(self.environment);
        // RFC 3875 §7.2: the script's own directory.
        command.current_dir(self.program.parent().unwrap_or(Path::new("/")));
        let input = standard_input(self.input).inspect_err(|error| {
            note_shortage(error);
        });
        command.stdin(input.map_err(StartError::Input)?);
        match Process::start(&mut command, permit) {
            Ok((process, output, errors)) => Ok(Started {
                process,
                output,
                errors,
            }),
            Err(error) => Err(StartError::of(error, self.program)),
        }
    }
}

impl StartError {
    /// The error in the terms of the operator who put the script there.
    fn of(error: io::Error, program: PathBuf) -> Self {
        note_shortage(&error);
        let may_run = || {
            let state = std::fs::metadata(&program);
            state.is_ok_and(|state| state.permissions().mode() & 0o111 != 0)
        };
        match Errno::from_io_error(&error) {
            Some(Errno::ACCESS) if !may_run() => Self::NotExecutable(program),
            Some(Errno::NOEXEC) => Self::NoProgram,
            Some(Errno::NOENT) if program.exists() => Self::NoInterpreter,
            _ => Self::Refused(error),
        }
    }
}

/// The content as a file, so that a script can read it at its own speed.
fn standard_input(input: Spooled) -> io::Result<Stdio> {
    match input {
        Spooled::Memory(octets) if octets.is_empty() => Ok(Stdio::null()),
        Spooled::Memory(octets) => {
            let mut file = File::from(memfd_create("tidegate-content", MemfdFlags::CLOEXEC)?);
            file.write_all(&octets)?;
            file.rewind()?;
            Ok(file.into())
        }
        Spooled::File { file, .. } => Ok(file.into()),
    }
}
