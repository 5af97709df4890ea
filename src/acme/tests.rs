//! Attempts at a certificate.

mod ca;
mod key_change;
mod orders;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use data_encoding::BASE64URL_NOPAD;
use rcgen::{CertificateParams, KeyIdMethod, KeyPair};
use serde_json::{Value, json};

use self::ca::{
    Answer, Asked, Ca, Script, authorization, decoded, fixture, is_for, order, refuses,
};
use super::answers::Answers;
use super::attempt::Attempt;
use super::fault::Fault;
use super::record::{Record, Standing};
use super::registration::Registration;
use super::storage::Storage;
use crate::config::model::{Acme, Challenge};
use crate::runtime::{self, BlockingPool};
use crate::test_support::TemporaryDirectory;
use crate::tls::pem::block;

/// An attempt at a certificate for `localhost`.
struct Trial {
    directory: Arc<TemporaryDirectory>,
    answers: Arc<Answers>,
    record: Record,
}

impl Trial {
    fn new() -> Self {
        Self {
            directory: Arc::new(TemporaryDirectory::new("acme")),
            answers: Arc::default(),
            record: Record::default(),
        }
    }

    fn settings(&self, ca: &Ca) -> Acme {
        let url = format!("https://localhost:{}/dir", ca.address.port());
        Acme {
            ca: Some(fixture("ca.pem")),
            challenges: vec![Challenge::TlsAlpn01, Challenge::Http01],
            ..Acme::at(&url, self.directory.path().join("acme"))
        }
    }

    /// Makes one attempt, in place of the certificate `standing`. If there is one, the CA is asked before
    /// when that is to be renewed.
    fn attempt_beside(&mut self, ca: &Ca, standing: Option<Standing>) -> Result<(), Fault> {
        let settings = self.settings(ca);
        let answers = Arc::clone(&self.answers);
        let mut record = self.record.clone();
        let attempt = async move {
            let storage = Storage::open(&settings).expect("a storage");
            let names = ["localhost".to_owned()];
            let file = settings.certificate_file(&names);
            let attempt = Attempt {
                registration: Registration {
                    pool: &BlockingPool::new(1, 8),
                    settings: &settings,
                    storage: &storage,
                },
                answers: &answers,
                names: &names,
                file: &file,
            };
            if let Some(standing) = &standing {
                attempt.ask_renewal(&mut record, standing).await;
                let due = record.due(Some(standing), SystemTime::now());
                assert_eq!(due, None, "the CA wants it to be renewed");
            }
            let outcome = attempt.make(&mut record, standing.as_ref()).await;
            (outcome, record)
        };
        let (outcome, record) = runtime::run(attempt).expect("a loop");
        self.record = record;
        outcome
    }

    /// Makes one attempt.
    fn attempt(&mut self, ca: &Ca) -> Result<(), Fault> {
        self.attempt_beside(ca, None)
    }

    fn certificate(&self, ca: &Ca) -> PathBuf {
        let settings = self.settings(ca);
        settings.certificate_file(&["localhost".to_owned()])
    }
}

#[test]
fn a_limit_of_the_ca_is_obeyed_and_told_in_its_words() {
    let mut trial = Trial::new();
    let ca = Ca::start(Box::new(|asked, _| {
        is_for(asked, "order").then(|| refuses(429, "rateLimited", "Retry-After: 7200\r\n"))
    }));
    let fault = trial.attempt(&ca).expect_err("the CA refuses");
    assert_eq!(fault.to_string(), "the CA refused (429): no more today");
    let pause = trial.record.pause(SystemTime::now());
    assert!(
        pause > Duration::from_secs(7100) && pause <= Duration::from_secs(7200),
        "{pause:?}"
    );
    // The account is there, and is not made again.
    let _ = trial.attempt(&ca);
    assert_eq!(ca.count("account"), 1, "{:?}", ca.lines());
}

#[test]
fn every_request_has_a_nonce_of_its_own_its_url_and_the_account() {
    let mut trial = Trial::new();
    let mut refused = 0;
    let ca = Ca::start(Box::new(move |asked, _| {
        let is_refused = is_for(asked, "order") && refused < 3;
        refused += u32::from(is_refused);
        let said = refuses(400, "badNonce", "");
        is_refused
            .then_some(said)
            .or_else(|| is_for(asked, "order/1").then(|| refuses(500, "serverInternal", "")))
    }));
    let fault = trial.attempt(&ca).expect_err("the CA fails");
    assert!(fault.to_string().contains("(500)"), "{fault}");
    let asked = ca.asked.lock().expect("no test panics with it").clone();
    let signed: Vec<&Asked> = asked
        .iter()
        .filter(|asked| !asked.header.is_null())
        .collect();
    let nonces = signed.iter().map(|asked| asked.header["nonce"].to_string());
    let nonces: std::collections::BTreeSet<String> = nonces.collect();
    assert_eq!(nonces.len(), signed.len());
    assert_eq!(
        signed.len(),
        6,
        "the account, four times an order, and a question about the order"
    );
    let account = format!("https://localhost:{}/account/1", ca.address.port());
    for asked in signed {
        let path = asked.line.split(' ').nth(1).unwrap_or_default();
        let url = format!("https://localhost:{}{path}", ca.address.port());
        assert_eq!(asked.header["url"], url);
        match path {
            "/account" => assert!(asked.header["jwk"].is_object() && asked.header["kid"].is_null()),
            _ => assert!(asked.header["kid"] == account && asked.header["jwk"].is_null()),
        }
        if path == "/order" {
            let names = json!([{ "type": "dns", "value": "localhost" }]);
            assert_eq!(asked.payload["identifiers"], names);
        }
    }
}

#[test]
fn a_ca_that_likes_no_nonce_is_not_asked_for_ever() {
    let mut trial = Trial::new();
    let ca = Ca::start(Box::new(|asked, _| {
        is_for(asked, "account").then(|| refuses(400, "badNonce", ""))
    }));
    assert!(trial.attempt(&ca).is_err());
    assert_eq!(ca.lines().len(), 12, "{:?}", ca.lines());
}

#[test]
fn the_answer_is_there_while_the_ca_asks_and_no_longer() {
    let mut trial = Trial::new();
    let answers = Arc::clone(&trial.answers);
    let seen = Arc::<Mutex<Option<String>>>::default();
    let found = Arc::clone(&seen);
    let mut is_told = false;
    let ca = Ca::start(Box::new(move |asked, address| {
        if is_for(asked, "challenge") {
            *found.lock().expect("no test panics with it") = answers.http("localhost:80", "token");
            is_told = true;
        }
        // It has looked, and did not like it.
        let is_invalid = is_told && is_for(asked, "authorization");
        is_invalid.then(|| {
            let error = json!({ "type": "urn:ietf:params:acme:error:dns", "detail": "NXDOMAIN" });
            let mut authorization = authorization("invalid", "token", address);
            authorization["challenges"][1]["error"] = error;
            Answer(200, String::new(), authorization.to_string())
        })
    }));
    let fault = trial.attempt(&ca).expect_err("the CA does not like it");
    let expected = "the CA could not verify localhost by http-01: NXDOMAIN";
    assert_eq!(fault.to_string(), expected);
    let seen = seen.lock().expect("no test panics with it").clone();
    assert!(seen.is_some_and(|answer| answer.starts_with("token.") && answer.len() == 49));
    assert_eq!(trial.answers.http("localhost:80", "token"), None);
    // The order is over; the next try begins another.
    assert_eq!(trial.record.begun, None);
}

#[test]
fn nonsense_is_refused_and_the_old_certificate_stays() {
    let valid = |asked: &Asked, address| {
        let order = order("valid", address).to_string();
        is_for(asked, "order/1").then(|| Answer(200, String::new(), order))
    };
    let text = |text: &str| Answer(200, String::new(), text.to_owned());
    type Case = (&'static str, fn(&Asked) -> bool, Answer);
    let cases: [Case; 7] = [
        (
            "sent no directory",
            |asked| asked.line.contains("/dir"),
            text("<html>"),
        ),
        (
            "longer than 102400 bytes",
            |asked| asked.line.contains("/dir"),
            text(&"x".repeat(200_000)),
        ),
        (
            "before the content did",
            |asked| asked.line.contains("/dir"),
            Answer(
                200,
                "Transfer-Encoding: chunked\r\n".to_owned(),
                String::new(),
            ),
        ),
        (
            "does not say where the order is",
            |asked| is_for(asked, "order"),
            text("{}"),
        ),
        (
            "gave a URL that cannot be used",
            |asked| is_for(asked, "order"),
            Answer(
                201,
                "Location: http://localhost/1\r\n".to_owned(),
                "{}".to_owned(),
            ),
        ),
        ("does not fit the certificate", |_| false, text("")),
        (
            "holds no certificate",
            |asked| is_for(asked, "certificate"),
            text("<html>"),
        ),
    ];
    for (expected, is_meant, answer) in cases {
        let mut trial = Trial::new();
        let mut answer = Some(answer);
        let ca = Ca::start(Box::new(move |asked, address| {
            if is_meant(asked) {
                return answer.take();
            }
            valid(asked, address)
        }));
        let file = trial.certificate(&ca);
        std::fs::create_dir_all(file.parent().expect("a directory")).expect("ours");
        std::fs::write(&file, "old").expect("ours");
        let fault = trial.attempt(&ca).expect_err(expected).to_string();
        assert!(fault.contains(expected), "{fault}");
        assert_eq!(std::fs::read_to_string(&file).ok().as_deref(), Some("old"));
        assert!(trial.record.pause(SystemTime::now()) > Duration::from_secs(4));
    }
}

#[test]
fn an_order_that_the_ca_wants_to_be_asked_for_later_is_kept_until_then() {
    let mut trial = Trial::new();
    let ca = Ca::start(Box::new(|asked, address| {
        is_for(asked, "order/1").then(|| {
            let order = order("processing", address);
            Answer(200, "Retry-After: 600\r\n".to_owned(), order.to_string())
        })
    }));
    for _ in 0..2 {
        let fault = trial.attempt(&ca).expect_err("the CA wants time");
        assert!(fault.to_string().contains("took too long"), "{fault}");
        let pause = trial.record.pause(SystemTime::now());
        assert!(pause > Duration::from_secs(590), "{pause:?}");
    }
    assert_eq!(ca.count("order"), 1, "{:?}", ca.lines());
}

#[test]
fn a_token_that_is_a_path_is_not_answered() {
    let mut trial = Trial::new();
    let ca = Ca::start(Box::new(|asked, address| {
        is_for(asked, "authorization").then(|| {
            let authorization = authorization("pending", "../a", address);
            Answer(200, String::new(), authorization.to_string())
        })
    }));
    let fault = trial.attempt(&ca).expect_err("the token is none");
    assert!(fault.to_string().contains("no base64url"), "{fault}");
    assert!(!ca.lines().iter().any(|line| line.contains("/challenge")));
}

/// The certificate that RFC 9773 §4.1 calls `aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE`, as far as its name goes.
fn certificate_of_rfc_9773(file: &Path) {
    let key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    parameters.serial_number = Some(vec![0x87, 0x65, 0x43, 0x21].into());
    let identifier = BASE64URL_NOPAD.decode(b"aYhba4dGQEHhs3uEe6CuLN4ByNQ");
    let identifier = identifier.expect("base64url");
    parameters.key_identifier_method = KeyIdMethod::PreSpecified(identifier);
    parameters.use_authority_key_identifier_extension = true;
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let text =
        block("PRIVATE KEY", key.serialized_der()) + &block("CERTIFICATE", certificate.der());
    std::fs::create_dir_all(file.parent().expect("a directory")).expect("ours");
    std::fs::write(file, text).expect("ours");
}

#[test]
fn the_ca_says_when_to_renew_and_is_told_what_is_replaced() {
    const NAME: &str = "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE";
    let mut trial = Trial::new();
    let ca = Ca::start(Box::new(|asked, address| {
        let url = |path: &str| format!("https://localhost:{}/{path}", address.port());
        let text = |value: Value| Some(Answer(200, String::new(), value.to_string()));
        match asked.line.as_str() {
            "GET /dir HTTP/1.1" => text(json!({
                "newNonce": url("nonce"), "newAccount": url("account"),
                "newOrder": url("order"), "renewalInfo": url("renewal"),
            })),
            line if line == format!("GET /renewal/{NAME} HTTP/1.1") => text(json!({
                "suggestedWindow": { "start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00Z" },
                "explanationURL": "https://ca.example/incident",
            })),
            "POST /order HTTP/1.1" if asked.payload["replaces"].is_string() => {
                Some(refuses(409, "alreadyReplaced", ""))
            }
            "POST /order HTTP/1.1" => Some(refuses(429, "rateLimited", "")),
            _ => None,
        }
    }));
    let file = trial.certificate(&ca);
    certificate_of_rfc_9773(&file);
    let standing = Standing::read(&file, &["localhost".to_owned()]).expect("a certificate");
    assert_eq!(standing.identifier.as_deref(), Some(NAME));
    assert!(
        trial
            .record
            .due(Some(&standing), SystemTime::now())
            .is_some()
    );
    assert!(trial.attempt_beside(&ca, Some(standing)).is_err());
    let asked = ca.asked.lock().expect("no test panics with it").clone();
    let orders = asked.iter().filter(|asked| is_for(asked, "order"));
    let replaces: Vec<&Value> = orders.map(|asked| &asked.payload["replaces"]).collect();
    // RFC 9773 §5: another order has replaced it already, so that this one replaces nothing.
    assert_eq!(replaces, [&json!(NAME), &Value::Null]);
}
