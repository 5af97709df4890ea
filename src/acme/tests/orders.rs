//! Orders at a CA that is slow, refuses, or gives an order up.

use data_encoding::BASE64;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::super::epoch::seconds;
use super::super::order::Begun;
use super::*;

/// A response with `content`.
fn says(content: &Value, fields: &str) -> Option<Answer> {
    Some(Answer(200, fields.to_owned(), content.to_string()))
}

#[test]
fn an_order_that_stays_ready_is_finalized_once() {
    let mut trial = Trial::new();
    let ca = Ca::start(Box::new(|asked, address| {
        let order = order("ready", address);
        is_for(asked, "order/1").then(|| says(&order, "Retry-After: 600\r\n"))?
    }));
    let fault = trial.attempt(&ca).expect_err("the CA wants time");
    assert!(fault.to_string().contains("took too long"), "{fault}");
    assert_eq!(ca.count("finalize"), 1);
    // The order is kept, and the CA gets its time.
    assert!(trial.record.begun.is_some());
    let pause = trial.record.pause(SystemTime::now());
    assert!(pause > Duration::from_secs(590), "{pause:?}");
}

#[test]
fn an_order_that_was_given_up_is_told_by_its_authorization() {
    let mut trial = Trial::new();
    let ca = Ca::start(Box::new(|asked, address| {
        if is_for(asked, "authorization") {
            let error = json!({ "type": "urn:ietf:params:acme:error:dns", "detail": "NXDOMAIN" });
            let mut authorization = authorization("invalid", "token", address);
            authorization["challenges"][1]["error"] = error;
            return says(&authorization, "");
        }
        let order = order("invalid", address);
        is_for(asked, "order/1").then(|| says(&order, ""))?
    }));
    let fault = trial.attempt(&ca).expect_err("the order is invalid");
    let expected = "the CA could not verify localhost by http-01: NXDOMAIN";
    assert_eq!(fault.to_string(), expected);
    assert_eq!(trial.record.begun, None);
    // An order that says itself why needs no further question.
    let ca = Ca::start(Box::new(|asked, address| {
        let mut order = order("invalid", address);
        order["error"] = json!({ "detail": "CAA forbids it" });
        is_for(asked, "order/1").then(|| says(&order, ""))?
    }));
    let fault = trial.attempt(&ca).expect_err("the order is invalid");
    assert_eq!(fault.to_string(), "the order is invalid: CAA forbids it");
    assert_eq!(ca.count("authorization"), 0);
}

#[test]
fn an_authorization_that_has_expired_ends_the_order() {
    let mut trial = Trial::new();
    let ca = Ca::start(Box::new(|asked, address| {
        let expired = authorization("expired", "token", address);
        is_for(asked, "authorization").then(|| says(&expired, ""))?
    }));
    let fault = trial.attempt(&ca).expect_err("it has expired");
    let expected =
        "the CA could not verify localhost by any challenge: the authorization is expired";
    assert_eq!(fault.to_string(), expected);
    assert_eq!(
        (trial.record.begun.clone(), ca.count("challenge")),
        (None, 0)
    );
}

#[test]
fn what_the_ca_says_to_a_challenge_is_told() {
    // A limit is obeyed at once.
    let mut trial = Trial::new();
    let ca = Ca::start(Box::new(|asked, _| {
        let limit = || refuses(429, "rateLimited", "Retry-After: 7200\r\n");
        is_for(asked, "challenge").then(limit)
    }));
    let fault = trial.attempt(&ca).expect_err("the CA refuses");
    assert_eq!(fault.to_string(), "the CA refused (429): no more today");
    assert!(trial.record.pause(SystemTime::now()) > Duration::from_secs(7100));
    assert!(trial.record.begun.is_some());
    // A refusal may mean that the CA was told before: it is told if the CA does not decide.
    let mut trial = Trial::new();
    let ca = Ca::start(Box::new(|asked, address| {
        let pending = authorization("pending", "token", address);
        if is_for(asked, "authorization") {
            return says(&pending, "Retry-After: 600\r\n");
        }
        is_for(asked, "challenge").then(|| refuses(400, "malformed", ""))
    }));
    let fault = trial.attempt(&ca).expect_err("the CA does not decide");
    assert_eq!(fault.to_string(), "the CA refused (400): no more today");
}

/// An order of the CA that has issued a certificate which has expired, begun `age` ago.
fn begun(ca: &Ca, age: Option<Duration>) -> Begun {
    let key = PrivateKeyDer::from_pem_file(fixture("expired.key")).expect("a fixture");
    let at = |age| SystemTime::now() - age;
    Begun {
        url: format!("https://localhost:{}/order/1", ca.address.port()),
        key: BASE64.encode(key.secret_der()),
        at: age.map(|age| seconds(at(age))),
    }
}

/// With a clock that is wrong and a CA that is slow, each retry gave a sound order up and made another.
#[test]
fn only_an_old_order_is_given_up_for_its_dates() {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let mut status = "valid";
    let mut trial = Trial::new();
    let ca = Ca::start(Box::new(move |asked, address| {
        if is_for(asked, "order") {
            status = "processing";
        }
        if is_for(asked, "certificate") {
            let chain = std::fs::read_to_string(fixture("expired.pem"));
            return Some(Answer(200, String::new(), chain.expect("a fixture")));
        }
        let order = order(status, address);
        let is_meant = is_for(asked, "order/1");
        status = if is_meant { "valid" } else { status };
        is_meant.then(|| says(&order, "Retry-After: 600\r\n"))?
    }));
    // The record of an older version does not say when the order was begun.
    for age in [None, Some(Duration::ZERO), Some(23 * HOUR)] {
        trial.record.begun = Some(begun(&ca, age));
        trial.attempt(&ca).expect("the certificate is taken");
        assert!(trial.certificate(&ca).exists());
    }
    assert_eq!(ca.count("order"), 0);
    trial.record.begun = Some(begun(&ca, Some(25 * HOUR)));
    let fault = trial.attempt(&ca).expect_err("the CA wants time");
    assert!(fault.to_string().contains("took too long"), "{fault}");
    assert_eq!(ca.count("order"), 1);
    // The order that was made in its place is kept, and is not given up for its dates.
    let next = trial.record.begun.as_mut().expect("another order");
    next.key = begun(&ca, None).key;
    trial.attempt(&ca).expect("the certificate is taken");
    assert_eq!(ca.count("order"), 1);
}
