//! The database: one connection that writes, for SQLite takes one writer at a time, and it knows no
//! better way to wait than a lock does.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Result, Row, Transaction};
use serde::Serialize;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS notes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        text TEXT NOT NULL,
        version INTEGER NOT NULL DEFAULT 1
    )";

#[derive(Serialize)]
pub(crate) struct Note {
    pub(crate) id: i64,
    pub(crate) text: String,
    /// Counts the changes of this note.
    pub(crate) version: i64,
}

pub(crate) struct Store(Mutex<Connection>);

impl Store {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path)?;
        // A writer does not wait for readers, and a crash loses nothing that was answered.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.execute(SCHEMA, ())?;
        Ok(Self(Mutex::new(connection)))
    }

    pub(crate) fn list(&self, before: i64, limit: u32) -> Result<Vec<Note>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT id, text, version FROM notes WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
        )?;
        statement.query_map((before, limit), to_note)?.collect()
    }

    pub(crate) fn create(&self, text: &str) -> Result<Note> {
        let connection = self.lock();
        let mut statement = connection
            .prepare_cached("INSERT INTO notes (text) VALUES (?1) RETURNING id, text, version")?;
        statement.query_row((text,), to_note)
    }

    pub(crate) fn read(&self, id: i64) -> Result<Option<Note>> {
        read(&self.lock(), id)
    }

    /// Replaces the text of a note, or deletes it where there is no text, if `check` lets it; `None`
    /// if there is no such note, else what `check` says, and the note as it is then.
    pub(crate) fn change<E>(
        &self,
        id: i64,
        text: Option<&str>,
        check: impl FnOnce(&Note) -> Result<(), E>,
    ) -> Result<Option<Result<Option<Note>, E>>> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let Some(current) = read(&transaction, id)? else {
            return Ok(None);
        };
        if let Err(refused) = check(&current) {
            return Ok(Some(Err(refused)));
        }
        let changed = write(&transaction, id, text)?;
        transaction.commit()?;
        Ok(Some(Ok(changed)))
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A transaction that a panic left open was rolled back when it was dropped.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(connection: &Connection, id: i64) -> Result<Option<Note>> {
    let mut statement =
        connection.prepare_cached("SELECT id, text, version FROM notes WHERE id = ?1")?;
    statement.query_row((id,), to_note).optional()
}

fn write(transaction: &Transaction<'_>, id: i64, text: Option<&str>) -> Result<Option<Note>> {
    match text {
        Some(text) => {
            let update = "UPDATE notes SET text = ?2, version = version + 1 WHERE id = ?1
                          RETURNING id, text, version";
            let mut statement = transaction.prepare_cached(update)?;
            statement.query_row((id, text), to_note).map(Some)
        }
        None => {
            transaction.execute("DELETE FROM notes WHERE id = ?1", (id,))?;
            Ok(None)
        }
    }
}

fn to_note(row: &Row<'_>) -> Result<Note> {
    Ok(Note {
        id: row.get(0)?,
        text: row.get(1)?,
        version: row.get(2)?,
    })
}
