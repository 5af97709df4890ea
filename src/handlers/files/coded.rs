//! Files in codings that this server makes: each once, for all workers, off the loop.
//!
//! ```text
//! a worker that wants one ── on the shelf ──────────────────────────→ its octets
//!                          ├ being made ── waits with the others ──┤
//!                          └ unknown ───── a thread makes it ──────┘
//! ```
//!
//! The client waits meanwhile, for [`PATIENCE`] at most. Without the wait the server would send it the file as it
//! is, which has more octets, and a cache in front would keep those and send them to all its clients. A client
//! for which no coding is made in that time gets the file as it is.

use std::collections::HashMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::held::Held;
use crate::coding::encoder::{Effort, encode};
use crate::disk::identity::Identity;
use crate::http::negotiation::ContentCoding;
use crate::message::representation::Body;
use crate::runtime::{BlockingPool, Receiver, Sender, channel, timeout};

/// The largest file that is compressed, in octets: it takes a thread a second or two, and memory for it
/// and for what comes of it.
pub(super) const MOST: u64 = 8 * 1024 * 1024;

/// How long a client waits for a file to be compressed.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the shelf may hold, in octets, beside what workers hold of it.
const CAPACITY: usize = 64 * 1024 * 1024;

/// What a place on the shelf weighs without octets.
const PLACE: usize = 192;

/// What was made of a file.
#[derive(Clone, Debug)]
pub(super) enum Made {
    Octets(Arc<[u8]>),
    /// It would not become smaller, or it has changed while it was read: this state of it is sent as it is.
    Nothing,
    /// There is no thread or no time for it now.
    NotNow,
}

/// A state of a file, in a coding.
type Key = (Identity, ContentCoding);

/// What was made of files, for all workers: what one has made is not made again by another, nor when a
/// worker has forgotten the file. Workers look here only for what they do not hold themselves.
static SHELF: LazyLock<Shelf> = LazyLock::new(Shelf::default);

#[derive(Default)]
struct Shelf(Mutex<Places>);

/// Two generations bound what is kept, as in [`super::generations`].
#[derive(Default)]
struct Places {
    young: HashMap<Key, Made>,
    old: HashMap<Key, Made>,
    /// What the young ones weigh.
    weight: usize,
    /// What the old ones weigh.
    old_weight: usize,
    /// What is being made, and the workers that wait for it.
    under_way: HashMap<Key, Vec<Sender<Made>>>,
}

/// What leaves the shelf.
type Retired = HashMap<Key, Made>;

/// What a worker finds on the shelf.
enum Found {
    Made(Made),
    /// It is being made.
    Coming(Receiver<Made>),
    /// The worker that has asked makes it, by this order, and receives it as the others do that wait.
    ToMake(Receiver<Made>, Order),
}

/// Sends what was made to the workers that wait, when it is dropped; before it is fulfilled, that is
/// [`Made::NotNow`].
struct Order {
    key: Key,
    shelf: &'static Shelf,
    made: Made,
}

/// A file's octets, as they are read on a thread.
enum Source {
    Memory(Vec<u8>),
    File(OwnedFd),
}

/// The octets in `coding` of a file of that identity, whose octets are `body`.
pub(super) async fn make(
    identity: Identity,
    coding: ContentCoding,
    body: &Body,
    pool: &BlockingPool,
) -> Made {
    let mut coming = match SHELF.find((identity, coding)) {
        Found::Made(made) => return made,
        Found::Coming(coming) => coming,
        Found::ToMake(coming, order) => {
            let Some(source) = source_of(body) else {
                return Made::NotNow;
            };
            let work = move || order.fulfil(make_of(&source, identity, coding));
            if let Ok(job) = pool.begin(work) {
                // It goes on for the others if this client goes.
                job.detach();
            }
            coming
        }
    };
    let made = timeout(PATIENCE, coming.receive()).await;
    made.ok().flatten().unwrap_or(Made::NotNow)
}

/// What the shelf holds: its places, and the octets on them.
pub(crate) fn held() -> Held {
    SHELF.lock().held()
}

fn source_of(body: &Body) -> Option<Source> {
    Some(match body {
        Body::Memory(octets) => Source::Memory(octets.to_vec()),
        Body::Everywhere(octets) => Source::Memory(octets.to_vec()),
        Body::File { file, .. } => Source::File(file.try_clone().ok()?),
    })
}

/// Reads and compresses, on this thread.
fn make_of(source: &Source, identity: Identity, coding: ContentCoding) -> Made {
    let read;
    let content = match source {
        Source::Memory(octets) => octets,
        Source::File(file) => match read_whole(file.as_fd(), identity) {
            Some(octets) => {
                read = octets;
                &read
            }
            None => return Made::Nothing,
        },
    };
    let coded = encode(content, coding, Effort::Kept(content.len() as u64));
    match coded {
        Ok(coded) if is_worth_it(coded.len(), content.len()) => Made::Octets(coded.into()),
        Ok(_) => Made::Nothing,
        Err(_) => Made::NotNow,
    }
}

/// Whether a twentieth is saved at least: for less, clients need not be kept from asking for parts.
fn is_worth_it(coded: usize, plain: usize) -> bool {
    coded <= plain - plain / 20
}

/// All octets of a file; `None` if it is not of that identity any more.
fn read_whole(file: BorrowedFd<'_>, identity: Identity) -> Option<Vec<u8>> {
    let mut content = vec![0; usize::try_from(identity.size).ok()?];
    let mut filled = 0;
    while filled < content.len() {
        let rest = &mut content[filled..];
        let read = rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *rest, filled as u64));
        match read {
            Ok(count @ 1..) => filled += count,
            Ok(0) | Err(_) => return None,
        }
    }
    let is_unchanged = Identity::of_open(file).ok()? == identity;
    is_unchanged.then_some(content)
}

impl Shelf {
    /// What there is of `key`. If it is to be made, others that ask from now on wait for it.
    fn find(&'static self, key: Key) -> Found {
        let mut places = self.lock();
        if let Some((made, retired)) = places.take(key) {
            drop(places);
            drop(retired);
            return Found::Made(made);
        }
        let (sender, coming) = channel();
        match places.under_way.get_mut(&key) {
            Some(waiting) => {
                waiting.push(sender);
                Found::Coming(coming)
            }
            None => {
                places.under_way.insert(key, vec![sender]);
                let order = Order {
                    key,
                    shelf: self,
                    made: Made::NotNow,
                };
                Found::ToMake(coming, order)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Every change is a single step, so that a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn held(&self) -> Held {
        let entries = self.young.len() + self.old.len();
        Held {
            entries,
            bytes: self.weight + self.old_weight - entries * PLACE,
        }
    }

    /// What was made of `key`, which is young from now on, and what leaves the shelf for it.
    fn take(&mut self, key: Key) -> Option<(Made, Retired)> {
        if let Some(made) = self.young.get(&key) {
            return Some((made.clone(), Retired::default()));
        }
        let made = self.old.remove(&key)?;
        self.old_weight -= weigh(&made);
        let retired = self.put(key, made.clone());
        Some((made, retired))
    }

    /// Puts `made` among the young ones. Returns what leaves the shelf for it, which the caller frees without the
    /// lock: it may be 32 MiB.
    fn put(&mut self, key: Key, made: Made) -> Retired {
        self.weight += weigh(&made);
        self.young.insert(key, made);
        if self.weight > CAPACITY / 2 {
            self.old_weight = std::mem::take(&mut self.weight);
            return std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        }
        Retired::default()
    }
}

/// What a place with `made` weighs.
fn weigh(made: &Made) -> usize {
    PLACE
        + match made {
            Made::Octets(octets) => octets.len(),
            Made::Nothing | Made::NotNow => 0,
        }
}

impl Order {
    /// Puts what was made on the shelf.
    fn fulfil(mut self, made: Made) {
        self.made = made;
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        let mut places = self.shelf.lock();
        let waiting = places.under_way.remove(&self.key);
        let retired = match self.made {
            Made::NotNow => Retired::default(),
            _ => places.put(self.key, self.made.clone()),
        };
        drop(places);
        drop(retired);
        for sender in waiting.unwrap_or_default() {
            sender.send(self.made.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::coding::decoder::tests::decoded;
    use crate::runtime;
    use crate::test_support::TemporaryDirectory;

    fn identity(inode: u64, size: u64) -> Identity {
        Identity {
            device: u64::MAX,
            inode,
            size,
            modified: (1, 0),
            changed: (1, 0),
        }
    }

    fn octets(made: Made) -> Option<Arc<[u8]>> {
        match made {
            Made::Octets(octets) => Some(octets),
            Made::Nothing | Made::NotNow => None,
        }
    }

    #[test]
    fn what_several_ask_for_at_once_is_made_once() {
        let content = b"<li>item</li>\n".repeat(1000);
        let identity = identity(1, content.len() as u64);
        let body = content.clone();
        let made = runtime::run(async move {
            let pool = BlockingPool::new(2, 10);
            let body = Rc::new(Body::Memory(body.into()));
            let (sender, mut receiver) = channel();
            for _ in 0..20 {
                let (pool, body, sender) = (Arc::clone(&pool), Rc::clone(&body), sender.clone());
                runtime::spawn(async move {
                    let made = make(identity, ContentCoding::Gzip, &body, &pool).await;
                    sender.send(octets(made).expect("there are threads"));
                });
            }
            let mut all = Vec::new();
            for _ in 0..20 {
                all.extend(receiver.receive().await);
            }
            all
        });
        let made = made.expect("a loop");
        assert!(made.iter().all(|octets| Arc::ptr_eq(octets, &made[0])));
        assert_eq!(decoded(ContentCoding::Gzip, &made[0]), Some(content));
    }

    #[test]
    fn what_cannot_be_made_is_told_to_all() {
        let outcome = runtime::run(async {
            let pool = BlockingPool::new(1, 10);
            let full = BlockingPool::new(1, 0);
            let (release, blocked) = std::sync::mpsc::channel::<()>();
            let job = full
                .begin(move || {
                    let _ = blocked.recv();
                })
                .expect("the first");
            let random = Body::Memory(noise(50_000).into());
            let no_gain = make(identity(2, 50_000), ContentCoding::Zstd, &random, &pool).await;
            let body = Body::Memory(vec![0; 5000].into());
            let no_thread = make(identity(3, 5000), ContentCoding::Zstd, &body, &full).await;
            drop(release);
            drop(job);
            let later = make(identity(3, 5000), ContentCoding::Zstd, &body, &pool).await;
            (no_gain, no_thread, later)
        });
        let (no_gain, no_thread, later) = outcome.expect("a loop");
        assert!(matches!(no_gain, Made::Nothing), "{no_gain:?}");
        assert!(matches!(no_thread, Made::NotNow), "{no_thread:?}");
        assert!(matches!(later, Made::Octets(_)), "{later:?}");
    }

    /// Octets that do not become fewer.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        (0..length).map(next).collect()
    }

    #[test]
    fn a_file_that_has_changed_is_not_read() {
        let tree = TemporaryDirectory::new("coded");
        tree.write("f", &vec![b'a'; 100_000]);
        let file = std::fs::File::open(tree.path().join("f")).expect("just written");
        let now = Identity::of_open(file.as_fd()).expect("it is open");
        let before = Identity {
            changed: (1, 0),
            ..now
        };
        assert!(read_whole(file.as_fd(), now).is_some());
        assert!(read_whole(file.as_fd(), before).is_none());
        let longer = Identity {
            size: 100_001,
            ..now
        };
        assert!(read_whole(file.as_fd(), longer).is_none());
    }

    #[test]
    fn the_shelf_stays_within_its_bound_and_keeps_what_is_used() {
        let mut places = Places::default();
        let octets: Arc<[u8]> = vec![0; 1024 * 1024].into();
        let key = |inode| (identity(inode, 1), ContentCoding::Gzip);
        for inode in 0..200 {
            places.put(key(inode), Made::Octets(Arc::clone(&octets)));
            assert!(places.take(key(0)).is_some(), "{inode}");
        }
        assert!(places.take(key(1)).is_none());
        let held = places.held();
        assert!(held.entries <= CAPACITY / octets.len() + 2);
        assert_eq!(held.bytes, held.entries * octets.len());
    }
}
