//! The command line: its commands and arguments, and the messages of commands that fail.

mod browser;
mod certificate;
mod check;
mod config_file;
mod dashboard;
mod explain;
mod hash_password;
mod listening;
mod log;
mod output;
mod pair;
mod proxy;
mod reasons;
mod remote;
mod secured;
mod starting;
mod startup_report;
mod top;
mod trust;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use crate::api::Handlers;
use crate::config::model::Config;
use crate::config::{self, Strictness, Surroundings};
use crate::generation::Generation;
use crate::generation::prepare::{Prepared, prepare};
use crate::log::diagnostic;
use crate::server;
use crate::supervisor::{Inherited, Role, Setup, wait_for_ends};

use config_file::ConfigFile;
use listening::Listening;
use output::print;
use remote::{Acme, Metrics, Reload, Remote, RestartApp, Status, Upstream};
use secured::Secured;
use starting::{run_without_file, start};
use startup_report::{Failure, report_file};

/// A small, fast web server.
///
/// Without a command, runs the server that `config.toml` in this directory describes.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about, long_about, max_term_width = 100)]
#[command(after_help = "\
Examples:
  tidegate serve                     this directory, at http://localhost:8080
  tidegate serve site --port 3000    another directory, at another port
  tidegate serve --tls               this directory, at https://localhost:8080
  tidegate                           the server that ./config.toml describes
  tidegate run /etc/tidegate/config.toml

Exit status: 0 after an orderly stop, 1 after a failure, 2 for wrong usage.
SIGINT and SIGTERM stop the server when what is in flight has been answered; a second one stops it
at once. SIGHUP reloads the configuration, SIGUSR1 opens the access log again, SIGUSR2 upgrades.")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server that a configuration file describes.
    Run(Run),
    /// Serve a directory, without any file.
    Serve(Serve),
    Proxy(proxy::Proxy),
    Certificate(certificate::Certificate),
    /// Have the running server take on its changed configuration.
    ///
    /// Says what changed, or why it was refused and that nothing was disturbed.
    Reload(Reload),
    /// Keep what `reload --confirm` brought.
    Confirm(Remote),
    /// Tell what the running server is doing.
    Status(Status),
    Top(top::Top),
    /// Print all that the running server counts, as Prometheus reads it.
    Metrics(Metrics),
    Log(log::Log),
    Dashboard(dashboard::Dashboard),
    /// Take a server of an upstream out of the running server, or back in.
    #[command(subcommand)]
    Upstream(Upstream),
    /// Change the account that the running server has with the CA of `[acme]`.
    #[command(subcommand)]
    Acme(Acme),
    /// Start new processes of an application, which take the place of those that run.
    ///
    /// No request fails: they are asked when all are ready, and the others end with their last request.
    /// If one does not become ready, what ran goes on.
    RestartApp(RestartApp),
    /// Have the program, as it is installed now, take the running server's place.
    ///
    /// No connection is lost: the new process accepts, the old one serves those it has to their end.
    /// If the new one does not serve, the old one goes on.
    Upgrade(Remote),
    /// Have the running server finish what is in flight, and end.
    Stop(Remote),
    Check(check::Check),
    Explain(explain::Explain),
    HashPassword(hash_password::HashPassword),
    /// Print a JSON Schema of the configuration file, for editors.
    Schema(Schema),
    Reasons(reasons::Reasons),
}

#[derive(Args, Debug)]
struct Schema {
    /// A table of the keys in Markdown instead.
    #[arg(long)]
    table: bool,
}

#[derive(Args, Debug, Default)]
struct Run {
    #[command(flatten)]
    config: ConfigFile,
    /// Reload whenever a file of the configuration is saved. A mistake is reported, and what ran
    /// goes on.
    #[arg(long)]
    watch: bool,
}

/// Serve a directory, without any file.
///
/// For this machine alone unless --listen says otherwise. Files are looked at anew for every
/// request: edit and refresh.
#[derive(Args, Debug)]
struct Serve {
    /// The directory.
    #[arg(value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    #[command(flatten)]
    listening: Listening,
    #[command(flatten)]
    secured: Secured,
    /// Answer 404 for a directory without an index.html, instead of listing it.
    #[arg(long)]
    no_listing: bool,
    /// For single-page applications: navigations that lead nowhere get /index.html.
    #[arg(long)]
    spa: bool,
}

/// Runs the program with its arguments, the first of which is its name. Returns its exit status.
///
/// A server writes panics to its log, in place of the panic hook that was set before; a handler's factory
/// may set another one.
///
/// The program has all of `tidegate`'s commands, and its configuration may name `handlers`. Without
/// any, it is the program `tidegate` itself.
pub fn main(arguments: impl IntoIterator<Item = OsString>, handlers: &Handlers) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` are errors of clap's as well, with status 0.
            let printed = error.print().and_then(|()| io::stdout().flush());
            let is_failure = |error: &io::Error| error.kind() != io::ErrorKind::BrokenPipe;
            let status = u8::try_from(error.exit_code()).unwrap_or(2);
            return ExitCode::from(if printed.as_ref().is_err_and(is_failure) {
                status.max(1)
            } else {
                status
            });
        }
    };
    let outcome = match cli.command {
        None => run(&Run::default(), handlers),
        Some(Command::Run(arguments)) => run(&arguments, handlers),
        Some(Command::Serve(arguments)) => serve(&arguments),
        Some(Command::Proxy(arguments)) => proxy::proxy(&arguments),
        Some(Command::Certificate(arguments)) => certificate::certificate(&arguments),
        Some(Command::Reload(arguments)) => remote::reload(&arguments),
        Some(Command::Confirm(server)) => remote::tell(&server, "POST", "/confirm"),
        Some(Command::Status(arguments)) => remote::status(&arguments),
        Some(Command::Top(arguments)) => top::top(&arguments),
        Some(Command::Metrics(arguments)) => remote::metrics(&arguments),
        Some(Command::Log(arguments)) => log::log(&arguments),
        Some(Command::Dashboard(arguments)) => dashboard::dashboard(&arguments),
        Some(Command::Upstream(command)) => remote::upstream(&command),
        Some(Command::Acme(command)) => remote::acme(&command),
        Some(Command::RestartApp(arguments)) => remote::restart_app(&arguments),
        Some(Command::Upgrade(server)) => remote::tell(&server, "POST", "/upgrade"),
        Some(Command::Stop(server)) => remote::tell(&server, "POST", "/stop"),
        Some(Command::Check(arguments)) => check::check(&arguments, handlers),
        Some(Command::Explain(arguments)) => explain::explain(&arguments, handlers),
        Some(Command::Reasons(arguments)) => reasons::reasons(&arguments),
        Some(Command::HashPassword(arguments)) => hash_password::hash_password(&arguments),
        Some(Command::Schema(arguments)) => print(&if arguments.table {
            config::key_table()
        } else {
            format!("{:#}\n", config::schema())
        }),
    };
    wait_for_ends(handlers);
    // The message is empty if the command has printed its errors itself.
    if let Err(message) = outcome.as_ref()
        && !message.is_empty()
    {
        diagnostic::print(&format!("{}\n", message.trim_end()));
    }
    diagnostic::finish();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs the server that a file describes, until it ends.
///
/// # Errors
/// An empty message: what is wrong has been reported.
fn run(arguments: &Run, handlers: &Handlers) -> Result<(), String> {
    run_file(arguments, handlers).map_err(|failure| {
        failure.report();
        String::new()
    })
}

/// As [`run`], which reports the errors.
///
/// # Errors
/// Why the server cannot start, or has failed.
fn run_file(arguments: &Run, handlers: &Handlers) -> Result<(), Failure> {
    let path = arguments.config.path();
    let inherited = Inherited::from_environment();
    let checked = config::load(
        path,
        Surroundings::of_process(handlers),
        Strictness::Lenient,
    );
    // Also of a file that is refused: its mistakes are written in the form that it asks for.
    if let Some(log) = checked.log() {
        diagnostic::configure(log);
    }
    let inputs = checked.inputs().clone();
    let prepared = prepare(checked, handlers, None).map_err(Failure::File)?;
    let Prepared { loaded, generation } = prepared;
    report_file(&loaded.warnings);
    refuse_failing_tests(&loaded.config, &generation)?;
    for doubt in server::exposed_files(&loaded.config, &loaded.files, &generation) {
        diagnostic::warn(format_args!("{doubt}"));
    }
    let mut supervisor = start(Setup {
        config: loaded.config.clone(),
        generation,
        file: Some(path.to_owned()),
        handlers: handlers.clone(),
        role: Role::Program(inherited),
    })
    .map_err(Failure::Other)?;
    if arguments.watch {
        supervisor.watch_files(&inputs)?;
    }
    Ok(supervisor.run()?)
}

/// Runs the tests that a configuration holds.
///
/// # Errors
/// The tests that fail.
fn refuse_failing_tests(config: &Config, generation: &Arc<Generation>) -> Result<(), Failure> {
    let failures = server::run_tests(config, generation);
    if failures.is_empty() {
        return Ok(());
    }
    Err(Failure::Tests(failures))
}

/// Serves a directory, until a signal ends that.
///
/// # Errors
/// Why it cannot be served.
fn serve(arguments: &Serve) -> Result<(), String> {
    let inherited = Inherited::from_environment();
    let directory = &arguments.directory;
    let root = directory.canonicalize().map_err(|error| {
        format!(
            "error: cannot serve {}: {error}; name a directory that exists",
            directory.display()
        )
    })?;
    if !root.is_dir() {
        return Err(format!(
            "error: cannot serve {}: it is not a directory; name the one it is in",
            root.display()
        ));
    }
    run_without_file(
        inherited,
        (&arguments.listening, &arguments.secured),
        |listen| Config::for_directory(root.clone(), listen, !arguments.no_listing, arguments.spa),
        |addresses| banner(&root, arguments, addresses),
    )
}

/// What the operator of `serve` is told: the directory, the `addresses`, and which options are on.
fn banner(root: &Path, arguments: &Serve, addresses: &str) -> String {
    let on_or_off = |is_on: bool| if is_on { "on" } else { "off" };
    format!(
        "\n  Serving {}\n\n{addresses}\n  listing {}, single-page fallback {}; Ctrl-C stops\n\n",
        root.display(),
        on_or_off(!arguments.no_listing),
        on_or_off(arguments.spa)
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["tidegate"], arguments].concat())
    }

    fn serve_addresses(arguments: &[&str]) -> Vec<String> {
        match parse(&[&["serve"], arguments].concat())
            .expect("valid")
            .command
        {
            Some(Command::Serve(serve)) => serve
                .listening
                .addresses()
                .iter()
                .map(ToString::to_string)
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn serve_listens_on_loopback_unless_told_otherwise() {
        assert_eq!(serve_addresses(&[]), ["127.0.0.1:8080", "[::1]:8080"]);
        assert_eq!(
            serve_addresses(&["--port", "1"]),
            ["127.0.0.1:1", "[::1]:1"]
        );
        assert_eq!(
            serve_addresses(&["-l", "0.0.0.0", "-p", "9"]),
            ["0.0.0.0:9"]
        );
        assert_eq!(
            serve_addresses(&["-l", "[::]:7", "-l", "::1"]),
            ["[::]:7", "[::1]:8080"]
        );
        assert_eq!(
            serve_addresses(&["-l", "localhost:3000", "-l", ":81"]),
            ["127.0.0.1:3000", "[::1]:3000", "0.0.0.0:81", "[::]:81"]
        );
        assert_eq!(
            serve_addresses(&["-l", "localhost", "-p", "82"]),
            ["127.0.0.1:82", "[::1]:82"]
        );
    }

    #[test]
    fn a_configuration_file_is_named_with_or_without_an_option() {
        for (arguments, expected) in [
            (&["run"][..], "config.toml"),
            (&["run", "a.toml"], "a.toml"),
            (&["run", "--config", "a.toml"], "a.toml"),
            (&["run", "-c", "a.toml", "--watch"], "a.toml"),
        ] {
            let Some(Command::Run(run)) = parse(arguments).expect("valid").command else {
                panic!("{arguments:?}")
            };
            assert_eq!(run.config.path(), Path::new(expected), "{arguments:?}");
        }
        for command in [
            "check",
            "reload",
            "confirm",
            "status",
            "dashboard",
            "upgrade",
            "stop",
        ] {
            parse(&[command, "a.toml"]).expect(command);
        }
    }

    #[test]
    fn the_page_on_operations_names_every_command() {
        let page = include_str!("../../docs/operations.md");
        let table = page.split("### Signals").next().unwrap_or_default();
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(table.contains(&format!("| `tidegate {name}")), "{name}");
        }
    }

    #[test]
    fn wrong_usage_is_status_2_and_help_is_0() {
        for (arguments, status) in [
            (&["--help"][..], 0),
            (&["--version"], 0),
            (&["serve", "--help"], 0),
            (&["serve", "--port", "x"], 2),
            (&["serve", "--listen", "nowhere"], 2),
            (&["serve", "--listen", "unix:a.sock"], 2),
            (&["serve", "--listen", ""], 2),
            (&["run", "a.toml", "--config", "b.toml"], 2),
            (&["nonsense"], 2),
            (&["--nonsense"], 2),
        ] {
            assert_eq!(
                parse(arguments).expect_err("it stops").exit_code(),
                status,
                "{arguments:?}"
            );
        }
    }
}
