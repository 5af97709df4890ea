//! Starting an instance: its program, its variables, its user.

use std::ffi::{CString, OsString};
use std::io;
use std::path::PathBuf;
use std::process::Command;

use nix::unistd::{Gid, Uid, User, getgrouplist};
use rustix::io::Errno;

use super::own::{Own, SocketDirectory};
use crate::config::find_program;
use crate::config::model::{Account, App, AppProcess, DEFAULT_PATH};
use crate::runtime::{Process, sys::Identity};

/// The variables of this server that an instance finds, too; and those whose names begin with `LC_`.
const KEPT: &[&str] = &[
    "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR",
];

/// A process that was started.
pub(super) struct Started {
    pub(super) process: Process<()>,
    /// What it writes to both of its outputs.
    pub(super) output: io::PipeReader,
    pub(super) own: Own,
}

/// Why an instance cannot be started. The operator can mend it.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("there is no program `{0}`")]
    NoProgram(String),
    #[error("cannot look up the user `{user}`")]
    User { user: String, source: io::Error },
    #[error("it gets no socket or port of its own")]
    Own(#[source] io::Error),
    #[error("it cannot be attended")]
    Threads(#[source] io::Error),
    #[error("the system refuses to start {} in {}", program.display(), directory.display())]
    Refused {
        program: PathBuf,
        directory: PathBuf,
        source: io::Error,
    },
    #[error(
        "the user `{user}` may not run {0}: it needs the permission to execute that file, and the \
         interpreter if it is a script, and to search each directory above them (`namei -l {0}` shows who may)",
        program.display()
    )]
    Forbidden {
        user: String,
        program: PathBuf,
        source: io::Error,
    },
}

/// Starts a process of `app`. Its end is the end of the calling thread at the latest.
///
/// # Errors
/// Why it cannot be started.
pub(super) fn start(app: &App, sockets: &mut SocketDirectory) -> Result<Started, StartError> {
    let process = &app.process;
    let user = process.user.as_ref().map(look_up).transpose()?.flatten();
    let owner = user.as_ref().map(|(identity, _)| identity.user);
    let own = sockets.make(process.endpoint, app.name(), owner);
    let own = own.map_err(StartError::Own)?;
    let text = own.text();
    let variables = variables(
        process,
        &text,
        user.as_ref().and_then(|(_, user)| user.as_ref()),
    );
    let name = process.command[0].fill(&text);
    let path = variables.iter().rev().find(|(name, _)| name == "PATH");
    let path = path.map_or(DEFAULT_PATH.into(), |(_, path)| path.to_string_lossy());
    let program = find_program(&name, &process.directory, &path);
    let program = program.ok_or(StartError::NoProgram(name))?;
    let mut command = Command::new(&program);
    command
        .args(process.command[1..].iter().map(|word| word.fill(&text)))
        .current_dir(&process.directory)
        .env_clear()
        .envs(variables);
    let identity = user.map(|(identity, _)| identity);
    match Process::start_service(&mut command, identity, ()) {
        Ok((process, output)) => Ok(Started {
            process,
            output,
            own,
        }),
        Err(source) => Err(StartError::of(source, program, process)),
    }
}

impl StartError {
    /// What is said of `program`, which the system refuses to start for `source`. The program was found with
    /// the rights of this process; the user of the app may have less.
    fn of(source: io::Error, program: PathBuf, process: &AppProcess) -> Self {
        let is_forbidden = Errno::from_io_error(&source) == Some(Errno::ACCESS);
        match &process.user {
            Some(user) if is_forbidden => Self::Forbidden {
                user: user.written.clone(),
                program,
                source,
            },
            _ => Self::Refused {
                program,
                directory: process.directory.clone(),
                source,
            },
        }
    }
}

/// The variables of an instance: those that are kept, those of its user, and those of the operator, which
/// come last and replace the others.
fn variables(process: &AppProcess, own: &str, user: Option<&User>) -> Vec<(OsString, OsString)> {
    let is_kept = |name: &OsString| {
        let name = name.to_string_lossy();
        KEPT.contains(&&*name) || name.starts_with("LC_")
    };
    let mut variables = vec![("PATH".into(), DEFAULT_PATH.into())];
    variables.extend(std::env::vars_os().filter(|(name, _)| is_kept(name)));
    if let Some(user) = user {
        variables.extend([
            ("HOME".into(), user.dir.clone().into_os_string()),
            ("USER".into(), user.name.clone().into()),
            ("LOGNAME".into(), user.name.clone().into()),
            ("SHELL".into(), user.shell.clone().into_os_string()),
        ]);
    }
    let given = process.environment.iter();
    variables.extend(given.map(|(name, value)| (name.into(), value.fill(own).into())));
    variables
}

/// Who `account` is, with its groups, and what the system knows of it. `None`: it is who runs this process.
fn look_up(account: &Account) -> Result<Option<(Identity, Option<User>)>, StartError> {
    if rustix::process::geteuid().as_raw() == account.number {
        return Ok(None);
    }
    let failed = |errno: nix::Error| StartError::User {
        user: account.written.clone(),
        source: errno.into(),
    };
    let user = User::from_uid(Uid::from_raw(account.number)).map_err(failed)?;
    // A user without a name is in the group of the same number.
    let group = user
        .as_ref()
        .map_or(Gid::from_raw(account.number), |user| user.gid);
    let name = user
        .as_ref()
        .and_then(|user| CString::new(user.name.as_str()).ok());
    let groups = match name {
        Some(name) => getgrouplist(&name, group).map_err(failed)?,
        None => vec![group],
    };
    let identity = Identity {
        user: account.number,
        group: group.as_raw(),
        groups: groups.into_iter().map(Gid::as_raw).collect(),
    };
    Ok(Some((identity, user)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Endpoint;

    #[test]
    fn a_program_that_its_user_may_not_run_is_told_with_the_user_and_a_remedy() {
        let mut process = AppProcess {
            command: Vec::new(),
            directory: "/srv".into(),
            environment: Vec::new(),
            user: Some(Account {
                written: "nobody".to_owned(),
                number: 65534,
            }),
            endpoint: Endpoint::Socket,
        };
        let told = |errno: Errno, process: &AppProcess| {
            StartError::of(errno.into(), "/private/prog".into(), process).to_string()
        };
        let forbidden = told(Errno::ACCESS, &process);
        for part in [
            "the user `nobody`",
            "/private/prog",
            "each directory above them",
        ] {
            assert!(forbidden.contains(part), "{forbidden}");
        }
        let refused = "the system refuses to start /private/prog in /srv";
        // This server may not become another user.
        assert_eq!(told(Errno::PERM, &process), refused);
        process.user = None;
        assert_eq!(told(Errno::ACCESS, &process), refused);
    }
}
