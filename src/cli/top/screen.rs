//! The terminal while `top` runs: its screen, its keys, and that it is as it was afterwards.
//!
//! Three threads wait: one for keys, one for signals, one for snapshots of the server. Each sends a message to the
//! loop in this module. The loop handles all messages that have come and then draws the screen once, so that it
//! draws about once a second, and at each key.

use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::feed::{self, News};
use super::keys;
use super::model::{Link, Model};
use super::view::{self, Theme};
use crate::control::follow::Stream;
use crate::runtime::spawn_thread;

/// What the loop waits for.
enum Message {
    News(News),
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    Signal(i32),
    /// A thread cannot go on.
    Failed(String),
}

/// What the loop does next.
#[derive(PartialEq, Eq)]
enum Next {
    Draw,
    Quit,
}

/// Shows what `stream` tells until the operator quits. The terminal is then as it was, also after an error.
///
/// # Errors
/// A sentence, if the terminal cannot be used, or not any more.
pub(super) fn run(
    config: &Path,
    stream: io::BufReader<Stream>,
    model: &mut Model,
    theme: Theme,
) -> Result<(), String> {
    let (send, messages) = mpsc::channel();
    watch_signals(&send)?;
    watch_server(config, stream, &send)?;
    let mut screen = Screen::enter().map_err(|error| of_terminal(&error))?;
    // Not before the terminal hands out keys one by one.
    watch_keys(&send)?;
    screen.show(&messages, model, theme)
}

fn of_terminal(error: &io::Error) -> String {
    format!("error: the terminal cannot be used: {error}; `tidegate top --once` needs none")
}

/// A terminal whose alternate screen is shown, and whose keys come one by one. Dropping it undoes that. So does
/// a panic on any thread, before its message is written.
struct Screen(DefaultTerminal);

impl Screen {
    fn enter() -> io::Result<Self> {
        match ratatui::try_init() {
            Ok(terminal) => Ok(Self(terminal)),
            Err(error) => {
                let _ = ratatui::try_restore();
                Err(error)
            }
        }
    }

    fn show(
        &mut self,
        messages: &Receiver<Message>,
        model: &mut Model,
        theme: Theme,
    ) -> Result<(), String> {
        loop {
            let drawn = self.0.draw(|frame| view::draw(frame, model, theme));
            drawn.map_err(|error| of_terminal(&error))?;
            let ended = |_| "error: every thread of `top` has ended".to_owned();
            let first = messages.recv().map_err(ended)?;
            // A burst is drawn once.
            for message in std::iter::once(first).chain(messages.try_iter()) {
                if self.react(message, model)? == Next::Quit {
                    return Ok(());
                }
            }
        }
    }

    fn react(&mut self, message: Message, model: &mut Model) -> Result<Next, String> {
        match message {
            Message::News(News::Snapshot(snapshot)) => model.take(*snapshot),
            Message::News(News::Lost { seconds, why }) => {
                model.link = Link::Lost { seconds, why };
            }
            Message::Key(key) => {
                test_hook(key);
                if !model.act(keys::action(key, model)) {
                    return Ok(Next::Quit);
                }
            }
            Message::Resized => {}
            // While the process was stopped, others have written on the terminal.
            Message::Signal(SIGCONT) => self.0.clear().map_err(|error| of_terminal(&error))?,
            Message::Signal(_) => return Ok(Next::Quit),
            Message::Failed(sentence) => return Err(sentence),
        }
        Ok(Next::Draw)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // The hook that ratatui sets has restored it before the panic was written. Once more would put the
        // cursor back over that message.
        if !std::thread::panicking() {
            let _ = ratatui::try_restore();
        }
    }
}

/// Panics if a test asks for it: the terminal has to survive that.
fn test_hook(key: KeyEvent) {
    if cfg!(debug_assertions)
        && key.code == event::KeyCode::Char('!')
        && std::env::var_os("TIDEGATE_TEST_HOOKS").is_some_and(|hooks| hooks == "panic")
    {
        panic!("a test asked for a panic of `top`");
    }
}

/// Tells the loop when its thread ends, by a panic for instance, so that it does not wait for ever.
struct Watched(Sender<Message>);

impl Watched {
    /// Returns whether the loop still listens.
    fn send(&self, message: Message) -> bool {
        self.0.send(message).is_ok()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let sentence = "error: a thread of `top` has ended before its time";
        self.send(Message::Failed(sentence.to_owned()));
    }
}

fn watch_keys(send: &Sender<Message>) -> Result<(), String> {
    let watched = Watched(send.clone());
    let work = move || {
        loop {
            let message = match event::read() {
                Ok(Event::Key(key)) => Message::Key(key),
                Ok(Event::Resize(..)) => Message::Resized,
                Ok(_) => continue,
                Err(error) => Message::Failed(of_terminal(&error)),
            };
            if !watched.send(message) {
                return;
            }
        }
    };
    spawn("tidegate-keys", work)
}

fn watch_signals(send: &Sender<Message>) -> Result<(), String> {
    let watched = Watched(send.clone());
    let signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGCONT]);
    let mut signals = signals.map_err(|error| format!("error: cannot watch signals: {error}"))?;
    let work = move || {
        for signal in signals.forever() {
            if !watched.send(Message::Signal(signal)) {
                return;
            }
        }
    };
    spawn("tidegate-signals", work)
}

fn watch_server(
    config: &Path,
    stream: io::BufReader<Stream>,
    send: &Sender<Message>,
) -> Result<(), String> {
    let watched = Watched(send.clone());
    let config = config.to_owned();
    let work = move || {
        let connect = || feed::connect(&config).map_err(|error| feed::in_a_line(&error));
        feed::run(stream, connect, |news| watched.send(Message::News(news)));
    };
    spawn("tidegate-feed", work)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let started = spawn_thread(name, work);
    started.map(drop).map_err(|error| format!("error: {error}"))
}
