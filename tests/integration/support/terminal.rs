//! A terminal in which a program runs: a pseudo-terminal, and the screen that a person would see.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::SAFETY;

/// A program in a terminal of its own. Dropping it kills the program.
pub(crate) struct Terminal {
    /// The side of the person at the terminal.
    controller: File,
    child: Child,
    screen: Arc<(Mutex<Screen>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

/// What the terminal shows.
pub(crate) struct Screen {
    lines: Vec<Vec<char>>,
    /// Line and column.
    cursor: (usize, usize),
    pub(crate) is_alternate: bool,
    pub(crate) is_cursor_hidden: bool,
    /// Whether any colour was ever set.
    pub(crate) has_colours: bool,
    /// All octets that have come.
    pub(crate) written: Vec<u8>,
    /// How many of them are done with.
    used: usize,
    pub(crate) is_closed: bool,
}

impl Terminal {
    /// Runs `command` in a terminal of so many columns and lines.
    pub(crate) fn run(command: &Command, columns: u16, lines: u16) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&controller).expect("it is ours");
        unlockpt(&controller).expect("it is ours");
        let name = ptsname(&controller, Vec::new()).expect("it has a name");
        let no_control = i32::try_from(OFlags::NOCTTY.bits()).expect("a flag");
        let mut options = File::options();
        options.read(true).write(true).custom_flags(no_control);
        let side = options
            .open(name.to_str().expect("ASCII"))
            .expect("it is unlocked");
        tcsetwinsize(&side, size(columns, lines)).expect("a terminal");
        let duplicate = || Stdio::from(side.try_clone().expect("descriptors are left"));
        // The program's session has the terminal, so that it hears of another size.
        let mut wrapped = Command::new("setsid");
        wrapped
            .arg("--ctty")
            .arg(command.get_program())
            .args(command.get_args())
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(duplicate())
            .stdout(duplicate())
            .stderr(duplicate());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            wrapped.current_dir(directory);
        }
        let child = wrapped.spawn().expect("setsid is installed");
        let controller = File::from(controller);
        let screen = Arc::new((Mutex::new(Screen::new(columns, lines)), Condvar::new()));
        let output = controller.try_clone().expect("descriptors are left");
        let reader = std::thread::spawn({
            let screen = Arc::clone(&screen);
            move || show(output, &screen)
        });
        Self {
            controller,
            child,
            screen,
            reader: Some(reader),
        }
    }

    /// Types octets.
    pub(crate) fn press(&mut self, keys: &str) {
        let typed = self.controller.write_all(keys.as_bytes());
        typed.expect("the terminal takes them");
    }

    pub(crate) fn resize(&self, columns: u16, lines: u16) {
        self.lock().resize(columns, lines);
        tcsetwinsize(&self.controller, size(columns, lines)).expect("a terminal");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is our own child");
    }

    fn lock(&self) -> MutexGuard<'_, Screen> {
        let unharmed = "no thread panics while it holds the lock";
        self.screen.0.lock().expect(unharmed)
    }

    /// Waits until the screen is as `is_meant` says, and returns its lines.
    pub(crate) fn wait_until(&self, what: &str, is_meant: impl Fn(&Screen) -> bool) -> String {
        let waiting = |screen: &mut Screen| !is_meant(screen) && !screen.is_closed;
        let waited = self
            .screen
            .1
            .wait_timeout_while(self.lock(), SAFETY, waiting);
        let (screen, _) = waited.expect("as above");
        let text = screen.text();
        let is_met = is_meant(&screen);
        drop(screen);
        assert!(is_met, "{what}: not on the screen:\n{text}");
        text
    }

    /// Waits until the screen shows `text`, and returns its lines. What is below may not be drawn yet.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        self.wait_for_all(&[text])
    }

    /// Waits until the screen shows all of these texts at once, and returns its lines.
    pub(crate) fn wait_for_all(&self, texts: &[&str]) -> String {
        self.wait_until(&texts.join(" and "), |screen| {
            let shown = screen.text();
            texts.iter().all(|text| shown.contains(text))
        })
    }

    /// Waits until the program has ended. Returns how, and what the terminal shows then.
    ///
    /// The terminal must be as it was: it takes lines, echoes what is typed, and shows its cursor.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        self.wait_until("the end", |screen| screen.is_closed);
        let status = self.child.wait().expect("it is our own child");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it does not panic");
        }
        let modes = tcgetattr(&self.controller).expect("a terminal").local_modes;
        let screen = self.lock();
        let text = screen.text();
        let restored = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        assert!(modes.contains(restored), "{modes:?}\n{text}");
        assert!(!screen.is_alternate, "another screen is shown:\n{text}");
        assert!(!screen.is_cursor_hidden, "{text}");
        drop(screen);
        (status, text)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(columns: u16, lines: u16) -> Winsize {
    Winsize {
        ws_row: lines,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Shows what the program writes, until it and its children have closed the terminal.
fn show(mut output: File, screen: &(Mutex<Screen>, Condvar)) {
    let mut buffer = [0; 4096];
    loop {
        // An error is the end: no program has the terminal open any more.
        let count = output.read(&mut buffer).unwrap_or(0);
        let mut shown = screen.0.lock().expect("no thread panics with it");
        shown.written.extend_from_slice(&buffer[..count]);
        shown.interpret();
        shown.is_closed = count == 0;
        screen.1.notify_all();
        if count == 0 {
            return;
        }
    }
}

impl Screen {
    fn new(columns: u16, lines: u16) -> Self {
        let mut screen = Self {
            lines: Vec::new(),
            cursor: (0, 0),
            is_alternate: false,
            is_cursor_hidden: false,
            has_colours: false,
            written: Vec::new(),
            used: 0,
            is_closed: false,
        };
        screen.resize(columns, lines);
        screen
    }

    /// The screen's lines, without spaces at their ends.
    pub(crate) fn text(&self) -> String {
        let lines = self.lines.iter();
        let lines = lines.map(|line| line.iter().collect::<String>().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }

    fn resize(&mut self, columns: u16, lines: u16) {
        self.lines = vec![vec![' '; columns.into()]; lines.into()];
        self.cursor = (0, 0);
    }

    fn clear(&mut self) {
        for line in &mut self.lines {
            line.fill(' ');
        }
    }

    /// Does what has come, up to the last control sequence or character that is complete.
    fn interpret(&mut self) {
        loop {
            let rest = self.written[self.used..].to_vec();
            let used = match rest.first() {
                None => return,
                Some(0x1b) => match sequence(&rest) {
                    None => return,
                    Some(length) => {
                        self.control(&rest[..length]);
                        length
                    }
                },
                Some(octet) => {
                    let length = match octet {
                        0xf0.. => 4,
                        0xe0.. => 3,
                        0xc0.. => 2,
                        _ => 1,
                    };
                    let Some(character) = rest.get(..length) else {
                        return;
                    };
                    let text = str::from_utf8(character).expect("UTF-8").to_owned();
                    text.chars().for_each(|character| self.print(character));
                    length
                }
            };
            self.used += used;
        }
    }

    fn print(&mut self, character: char) {
        match character {
            '\r' => self.cursor.1 = 0,
            '\n' => {
                self.cursor.0 += 1;
                if self.cursor.0 == self.lines.len() {
                    self.cursor.0 -= 1;
                    self.lines.rotate_left(1);
                    if let Some(line) = self.lines.last_mut() {
                        line.fill(' ');
                    }
                }
            }
            _ => {
                let columns = self.lines.first().map_or(0, Vec::len);
                if self.cursor.1 == columns {
                    self.print('\r');
                    self.print('\n');
                }
                let (line, column) = self.cursor;
                if let Some(cell) = self
                    .lines
                    .get_mut(line)
                    .and_then(|line| line.get_mut(column))
                {
                    *cell = character;
                }
                self.cursor.1 += 1;
            }
        }
    }

    /// Does what a control sequence says; sequences that change nothing here are skipped.
    fn control(&mut self, sequence: &[u8]) {
        let text = str::from_utf8(sequence).unwrap_or_default();
        let Some(text) = text.strip_prefix("\x1b[") else {
            return;
        };
        let (parameters, end) = text.split_at(text.len() - 1);
        let numbers: Vec<usize> = parameters
            .split(';')
            .map(|number| number.parse().unwrap_or(0))
            .collect();
        match (end, parameters) {
            ("h" | "l", "?1049") => {
                self.is_alternate = end == "h";
                self.clear();
                self.cursor = (0, 0);
            }
            ("h" | "l", "?25") => self.is_cursor_hidden = end == "l",
            ("H", _) => {
                let place =
                    |index: usize| numbers.get(index).map_or(0, |one| one.saturating_sub(1));
                self.cursor = (place(0), place(1));
            }
            ("J", _) => self.clear(),
            ("m", _) => {
                let is_colour = |number: &usize| matches!(number, 30..=38 | 40..=48 | 90..=107);
                self.has_colours |= numbers.iter().any(is_colour);
            }
            _ => {}
        }
    }
}

/// The length of the control sequence that `octets` begin with; `None` if it is incomplete.
fn sequence(octets: &[u8]) -> Option<usize> {
    if *octets.get(1)? != b'[' {
        return Some(2);
    }
    let end = octets[2..]
        .iter()
        .position(|octet| (0x40..=0x7e).contains(octet))?;
    Some(end + 3)
}
