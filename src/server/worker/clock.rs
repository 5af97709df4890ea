//! The time of day as `Date` and the log write it: made once a second, not once a request.

use std::cell::{Cell, Ref, RefCell};
use std::time::{Duration, Instant, SystemTime};

use crate::http::date::HttpDate;
use crate::http::response::FieldLines;
use crate::log::record::LogTime;
use crate::message::response::CommonFields;

/// The current second, in the forms it is needed in.
pub(crate) struct CurrentSecond {
    forms: RefCell<Forms>,
    /// When the next second begins.
    next: Cell<Instant>,
    /// The moment whose milliseconds the log's time has.
    log_at: Cell<Option<Instant>>,
}

pub(crate) struct Forms {
    /// `Server` and `Date` lines.
    pub(crate) with_server: FieldLines,
    /// The `Date` line alone.
    pub(crate) without_server: FieldLines,
    log: LogTime,
}

impl CurrentSecond {
    pub(crate) fn new(now: Instant) -> Self {
        let time = time_of_day(now);
        Self {
            forms: RefCell::new(Forms::new(time)),
            next: Cell::new(now + until_next_second(time)),
            log_at: Cell::new(None),
        }
    }

    /// The forms of the second that `now` lies in.
    pub(crate) fn at(&self, now: Instant) -> Ref<'_, Forms> {
        if now >= self.next.get() {
            let time = time_of_day(now);
            self.forms.replace(Forms::new(time));
            self.next.set(now + until_next_second(time));
        }
        self.forms.borrow()
    }

    /// Calls `use_it` with `now` as the access log writes it.
    pub(crate) fn with_log_time<T>(&self, now: Instant, use_it: impl FnOnce(&LogTime) -> T) -> T {
        // Many exchanges end in one turn, and so at one moment.
        if self.log_at.get() != Some(now) {
            drop(self.at(now));
            self.log_at.set(Some(now));
            let milliseconds = milliseconds_before(self.next.get() - now);
            self.forms.borrow_mut().log.set_milliseconds(milliseconds);
        }
        use_it(&self.forms.borrow().log)
    }
}

/// The time of day at `now`, which may have passed: the loop looks at its clock once a turn. Without that, each worker
/// would write times that are late by as much as a turn of its own had lasted.
fn time_of_day(now: Instant) -> SystemTime {
    let time = SystemTime::now();
    time.checked_sub(now.elapsed()).unwrap_or(time)
}

/// How many milliseconds of a second have passed if `left` is left of it.
fn milliseconds_before(left: Duration) -> u32 {
    match left.as_secs() {
        0 => 999.min((1_000_000_000 - left.subsec_nanos()) / 1_000_000),
        _ => 0,
    }
}

impl Forms {
    /// The field lines that responses of this second carry.
    pub(crate) fn common(&self, common: CommonFields) -> &[u8] {
        match common {
            CommonFields::DateAndServer => self.with_server.as_bytes(),
            CommonFields::Date => self.without_server.as_bytes(),
            CommonFields::None => b"",
        }
    }

    fn new(time: SystemTime) -> Self {
        let date = HttpDate::from_system_time(time).to_bytes();
        Self {
            with_server: FieldLines::new()
                .with("Server", "tidegate")
                .with("Date", date),
            without_server: FieldLines::new().with("Date", date),
            log: LogTime::new(time),
        }
    }
}

fn until_next_second(time: SystemTime) -> Duration {
    let since_epoch = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Duration::from_secs(1) - Duration::from_nanos(u64::from(since_epoch.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::ClientAddress;
    use crate::config::model::LogFormat;
    use crate::http::status::Status;
    use crate::log::record::AccessRecord;

    #[test]
    fn is_made_anew_when_the_second_is_over() {
        let now = Instant::now();
        let current = CurrentSecond::new(now);
        assert!(current.next.get() > now && current.next.get() <= now + Duration::from_secs(1));
        let line = current.at(now).with_server.as_bytes().to_vec();
        assert!(line.starts_with(b"Server: tidegate\r\nDate: ") && line.ends_with(b" GMT\r\n"));
        let later = now + Duration::from_secs(5);
        assert!(
            current
                .at(later)
                .without_server
                .as_bytes()
                .starts_with(b"Date: ")
        );
        assert!(current.next.get() > later);
    }

    /// Times were those of the look at the system's clock, later than the moment that they were written for.
    #[test]
    fn a_moment_that_has_passed_has_its_time_of_day() {
        let second = Duration::from_secs(1);
        let earlier = Instant::now().checked_sub(second).expect("it was running");
        let passed = SystemTime::now().duration_since(time_of_day(earlier));
        assert!(passed.expect("it is earlier") > second / 2);
    }

    #[test]
    fn the_log_has_the_milliseconds_of_each_moment() {
        let now = Instant::now();
        let current = CurrentSecond::new(now);
        let end = current.next.get();
        for (left, expected) in [(1000, 0), (993, 7), (1, 999), (500, 500)] {
            let at = end - Duration::from_millis(left);
            let line = |time: &LogTime| {
                let mut out = Vec::new();
                let record = AccessRecord::unreadable(ClientAddress::Unix, b"", Status::OK);
                record.write(&LogFormat::Json, time, &mut out);
                String::from_utf8(out).expect("text")
            };
            let line = current.with_log_time(at, line);
            assert!(line.contains(&format!(".{expected:03}Z\"")), "{line}");
        }
    }
}
