//! Orders at a CA that is slow, refuses, or gives an order up.

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
