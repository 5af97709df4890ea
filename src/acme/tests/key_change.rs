//! Changes of the account's key (RFC 8555 §7.3.5), and what a crash leaves of them.

use super::*;
use crate::acme::jose::AccountKey;
use crate::acme::registration::KeyChange;
use crate::disk::Lock;

/// The name of a key: its public half.
fn name(key: &AccountKey) -> String {
    point(&key.jwk())
}

/// The part of a public key that this test tells keys apart by.
fn point(jwk: &Value) -> String {
    jwk["x"].as_str().unwrap_or_default().to_owned()
}

/// The keys in the file of the account, by their names: the present one, and the next one.
fn kept(settings: &Acme) -> (String, Option<String>) {
    let path = settings.directory_of_authority().join("account.json");
    let text = std::fs::read(path).expect("an account");
    let account: Value = serde_json::from_slice(&text).expect("JSON");
    let named = |member: &str| {
        let pkcs8 = account[member].as_str()?;
        let pkcs8 = data_encoding::BASE64.decode(pkcs8.as_bytes());
        let key = AccountKey::from_pkcs8(&pkcs8.expect("base64"));
        Some(name(&key.expect("a key")))
    };
    (named("key").expect("a key"), named("next_key"))
}

/// Puts an account into the storage, as a process that has ended has left it.
fn leave(settings: &Acme, key: &AccountKey, next: Option<&AccountKey>, url: &str) {
    let encoded = |key: &AccountKey| data_encoding::BASE64.encode(key.pkcs8());
    let mut account = json!({ "key": encoded(key), "url": url, "contact": [] });
    if let Some(next) = next {
        account["next_key"] = encoded(next).into();
    }
    let directory = settings.directory_of_authority();
    std::fs::create_dir_all(&directory).expect("ours");
    std::fs::write(directory.join("account.json"), account.to_string()).expect("ours");
}

/// A CA that knows one account, by its key.
fn knowing(known: &AccountKey, mut script: Script) -> (Ca, Arc<Mutex<String>>) {
    let known = Arc::new(Mutex::new(name(known)));
    let key = Arc::clone(&known);
    let ca = Ca::start(Box::new(move |asked, address| {
        if let Some(answer) = script(asked, address) {
            return Some(answer);
        }
        let mut key = key.lock().expect("no test panics with it");
        if is_for(asked, "key-change") {
            *key = point(&inner(asked).0["jwk"]);
        }
        let is_question = asked.payload["onlyReturnExisting"] == true;
        let is_unknown = is_question && point(&asked.header["jwk"]) != *key;
        is_unknown.then(|| refuses(400, "accountDoesNotExist", ""))
    }));
    (ca, known)
}

/// The header and the payload of the signature within the request for another key.
fn inner(asked: &Asked) -> (Value, Value) {
    let part = |name| decoded(&asked.payload, name);
    (part("protected"), part("payload"))
}

/// Changes the key, or resumes a change that was begun.
fn change(trial: &Trial, ca: &Ca, may_begin: bool) -> Result<KeyChange, Fault> {
    let settings = trial.settings(ca);
    let changed = runtime::run(async move {
        let storage = Storage::open(&settings).expect("a storage");
        let registration = Registration {
            pool: &BlockingPool::new(1, 8),
            settings: &settings,
            storage: &storage,
        };
        if may_begin {
            registration.change_key().await
        } else {
            registration.resume_key_change().await
        }
    });
    changed.expect("a loop")
}

fn account_url(ca: &Ca) -> String {
    format!("https://localhost:{}/account/1", ca.address.port())
}

#[test]
fn the_account_gets_a_new_key() {
    let trial = Trial::new();
    let old = AccountKey::generate();
    let (ca, known) = knowing(&old, Box::new(|_, _| None));
    let settings = trial.settings(&ca);
    leave(&settings, &old, None, &account_url(&ca));
    assert!(matches!(change(&trial, &ca, true), Ok(KeyChange::Changed)));
    let (key, next) = kept(&settings);
    assert!(key != name(&old) && next.is_none());
    assert_eq!(*known.lock().expect("no test panics with it"), key);
    let asked = ca.asked.lock().expect("no test panics with it").clone();
    let asked = asked.iter().find(|asked| is_for(asked, "key-change"));
    let asked = asked.expect("a request for another key");
    let url = format!("https://localhost:{}/key-change", ca.address.port());
    assert_eq!(asked.header["kid"], account_url(&ca));
    assert_eq!(asked.header["url"], url);
    // RFC 8555 §7.3.5: the new key signs for the account and the old one; there is no nonce.
    let (header, payload) = inner(asked);
    assert_eq!(header["url"], url);
    assert_eq!(point(&header["jwk"]), key);
    assert!(header["nonce"].is_null() && header["kid"].is_null());
    let expected = json!({ "account": account_url(&ca), "oldKey": old.jwk() });
    assert_eq!(payload, expected);
    assert!(matches!(change(&trial, &ca, false), Ok(KeyChange::Nothing)));
}

#[test]
fn an_account_that_the_ca_does_not_know_yet_is_made_before() {
    let trial = Trial::new();
    let (ca, _) = knowing(&AccountKey::generate(), Box::new(|_, _| None));
    assert!(matches!(change(&trial, &ca, true), Ok(KeyChange::Changed)));
    assert_eq!((ca.count("account"), ca.count("key-change")), (1, 1));
}

/// The process has ended after the next key was kept, and before the CA was asked.
#[test]
fn a_change_that_the_ca_has_not_heard_of_is_made_after_a_crash() {
    let trial = Trial::new();
    let (old, next) = (AccountKey::generate(), AccountKey::generate());
    let (ca, known) = knowing(&old, Box::new(|_, _| None));
    let settings = trial.settings(&ca);
    leave(&settings, &old, Some(&next), &account_url(&ca));
    assert!(matches!(change(&trial, &ca, false), Ok(KeyChange::Changed)));
    assert_eq!(kept(&settings), (name(&next), None));
    assert_eq!(*known.lock().expect("no test panics with it"), name(&next));
}

/// The process has ended after the CA has made the change. An order finds that out, too.
#[test]
fn a_change_that_the_ca_has_made_is_kept_after_a_crash() {
    let mut trial = Trial::new();
    let (old, next) = (AccountKey::generate(), AccountKey::generate());
    let no_order =
        |asked: &Asked, _| is_for(asked, "order").then(|| refuses(403, "unauthorized", ""));
    let (ca, _) = knowing(&next, Box::new(no_order));
    let settings = trial.settings(&ca);
    leave(&settings, &old, Some(&next), &account_url(&ca));
    let fault = trial.attempt(&ca).expect_err("the CA refuses orders");
    assert!(fault.to_string().contains("(403)"), "{fault}");
    assert_eq!(kept(&settings), (name(&next), None));
    assert_eq!(ca.count("key-change"), 0);
}

#[test]
fn both_keys_are_kept_until_the_ca_answers() {
    let mut trial = Trial::new();
    let old = AccountKey::generate();
    let mut failures = 0;
    let fails = move |asked: &Asked, _| {
        if is_for(asked, "order") {
            return Some(refuses(403, "unauthorized", ""));
        }
        let fails = is_for(asked, "key-change") && failures < 1;
        failures += u32::from(fails);
        fails.then(|| refuses(500, "serverInternal", ""))
    };
    let (ca, _) = knowing(&old, Box::new(fails));
    let settings = trial.settings(&ca);
    leave(&settings, &old, None, &account_url(&ca));
    let changed = change(&trial, &ca, true);
    assert!(matches!(&changed, Err(fault) if fault.to_string().contains("(500)")));
    let (key, next) = kept(&settings);
    assert!(key == name(&old) && next.is_some());
    // Until then orders use the key that the CA knows, and do not ask for the change. Another process may be
    // about to ask. A CA that answered `500` each time stopped every order.
    let storage = Storage::open(&settings).expect("a storage");
    let lock = Lock::take(&storage.key_change_lock()).expect("ours");
    trial.attempt(&ca).expect_err("the CA refuses orders");
    drop(lock);
    assert_eq!((ca.count("order"), ca.count("key-change")), (1, 1));
    let asked = ca.asked.lock().expect("no test panics with it").clone();
    let order = asked.iter().find(|asked| is_for(asked, "order"));
    let order = order.expect("an order");
    assert_eq!(order.header["kid"], account_url(&ca));
    assert_eq!(kept(&settings), (key, next.clone()));
    assert!(matches!(change(&trial, &ca, false), Ok(KeyChange::Changed)));
    assert_eq!(kept(&settings), (next.expect("a key"), None));
}

/// The CA has made the change, and its response was lost: it refuses the second request, which the old key
/// has signed.
#[test]
fn a_change_whose_response_was_lost_is_kept() {
    let trial = Trial::new();
    let old = AccountKey::generate();
    let known = Arc::new(Mutex::new(String::new()));
    let key = Arc::clone(&known);
    let (mut changes, mut questions) = (0, 0);
    let loses = move |asked: &Asked, _| {
        if is_for(asked, "key-change") {
            *key.lock().expect("no test panics with it") = point(&inner(asked).0["jwk"]);
            changes += 1;
            return Some(match changes {
                1 => refuses(500, "serverInternal", ""),
                _ => refuses(400, "malformed", ""),
            });
        }
        // The first question comes a moment too early.
        let is_question = asked.payload["onlyReturnExisting"] == true;
        questions += u32::from(is_question);
        (is_question && questions == 1).then(|| refuses(400, "accountDoesNotExist", ""))
    };
    let ca = Ca::start(Box::new(loses));
    let settings = trial.settings(&ca);
    leave(&settings, &old, None, &account_url(&ca));
    assert!(change(&trial, &ca, true).is_err());
    assert!(matches!(change(&trial, &ca, false), Ok(KeyChange::Changed)));
    assert_eq!(ca.count("key-change"), 2);
    let known = known.lock().expect("no test panics with it").clone();
    assert_eq!(kept(&settings), (known, None));
}

#[test]
fn a_refusal_leaves_the_key_as_it_is() {
    let trial = Trial::new();
    let old = AccountKey::generate();
    let refusing =
        |asked: &Asked, _| is_for(asked, "key-change").then(|| refuses(403, "unauthorized", ""));
    let (ca, _) = knowing(&old, Box::new(refusing));
    let settings = trial.settings(&ca);
    leave(&settings, &old, None, &account_url(&ca));
    let changed = change(&trial, &ca, true);
    let expected = "the CA refused (403): no more today";
    assert!(matches!(&changed, Ok(KeyChange::Kept(fault)) if fault.to_string() == expected));
    assert_eq!(kept(&settings), (name(&old), None));
}

#[test]
fn a_ca_that_changes_no_keys_is_not_asked() {
    let trial = Trial::new();
    let old = AccountKey::generate();
    let (ca, _) = knowing(
        &old,
        Box::new(|asked, _| {
            let directory = json!({ "newNonce": "", "newAccount": "", "newOrder": "" });
            let is_asked = asked.line.contains("/dir ");
            is_asked.then(|| Answer(200, String::new(), directory.to_string()))
        }),
    );
    let settings = trial.settings(&ca);
    leave(&settings, &old, None, &account_url(&ca));
    let changed = change(&trial, &ca, true);
    let expected = "the CA changes no keys of accounts";
    assert!(matches!(&changed, Ok(KeyChange::Kept(fault)) if fault.to_string() == expected));
    assert_eq!(kept(&settings), (name(&old), None));
}

#[test]
fn one_process_changes_the_key_at_a_time() {
    let trial = Trial::new();
    let (old, next) = (AccountKey::generate(), AccountKey::generate());
    let (ca, _) = knowing(&old, Box::new(|_, _| None));
    let settings = trial.settings(&ca);
    leave(&settings, &old, Some(&next), &account_url(&ca));
    let storage = Storage::open(&settings).expect("a storage");
    let lock = Lock::take(&storage.key_change_lock()).expect("ours");
    let changed = change(&trial, &ca, false);
    assert!(matches!(&changed, Err(fault) if fault.to_string().contains("another process")));
    assert_eq!(kept(&settings), (name(&old), Some(name(&next))));
    assert!(ca.lines().is_empty());
    drop(lock);
    assert!(matches!(change(&trial, &ca, false), Ok(KeyChange::Changed)));
}

/// The fault of the question which key the CA knows took the place of the CA's own words.
#[test]
fn a_refusal_is_told_also_if_the_ca_then_stops_answering() {
    let trial = Trial::new();
    let old = AccountKey::generate();
    let mut changes = 0;
    let fails = move |asked: &Asked, _| {
        if is_for(asked, "key-change") {
            changes += 1;
            return Some(refuses(403, "unauthorized", ""));
        }
        let is_question = asked.payload["onlyReturnExisting"] == true;
        (is_question && changes > 0).then(|| refuses(500, "serverInternal", ""))
    };
    let (ca, _) = knowing(&old, Box::new(fails));
    let settings = trial.settings(&ca);
    leave(&settings, &old, None, &account_url(&ca));
    let changed = change(&trial, &ca, true);
    assert!(matches!(&changed, Err(fault) if fault.to_string().contains("(403)")));
    assert!(kept(&settings).1.is_some());
}

/// A file that could not be read was taken for one without a change that was begun.
#[test]
fn a_change_is_pending_if_the_file_cannot_be_read() {
    let trial = Trial::new();
    let (ca, _) = knowing(&AccountKey::generate(), Box::new(|_, _| None));
    let directory = trial.settings(&ca).directory_of_authority();
    std::fs::create_dir_all(&directory).expect("ours");
    std::fs::write(directory.join("account.json"), "{").expect("ours");
    for may_begin in [false, true] {
        let changed = change(&trial, &ca, may_begin);
        assert!(matches!(&changed, Err(fault) if fault.to_string().contains("move it away")));
    }
}

/// The CA has lost the account: the command failed each time, until an order found that out.
#[test]
fn an_account_that_the_ca_has_lost_is_made_again_and_gets_a_new_key() {
    for changes_contact in [false, true] {
        let trial = Trial::new();
        let old = AccountKey::generate();
        let mut is_there = false;
        let (ca, known) = knowing(
            &old,
            Box::new(move |asked, _| {
                is_there |= is_for(asked, "account");
                let of_account = is_for(asked, "key-change") || is_for(asked, "account/1");
                let is_lost = of_account && !is_there;
                is_lost.then(|| refuses(400, "accountDoesNotExist", ""))
            }),
        );
        let settings = trial.settings(&ca);
        leave(&settings, &old, None, &account_url(&ca));
        if changes_contact {
            let path = settings.directory_of_authority().join("account.json");
            let text = std::fs::read_to_string(&path).expect("an account");
            let text = text.replace("[]", "[\"mailto:old@example.com\"]");
            std::fs::write(&path, text).expect("ours");
        }
        let changed = change(&trial, &ca, true);
        assert!(matches!(changed, Ok(KeyChange::Changed)), "{changed:?}");
        let (key, next) = kept(&settings);
        assert!(key != name(&old) && next.is_none());
        assert_eq!(*known.lock().expect("no test panics with it"), key);
    }
}
