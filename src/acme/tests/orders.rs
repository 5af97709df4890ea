//! Orders at a CA that is slow, refuses, or gives an order up.

use super::*;

/// A CA that shows every order as `status`, with these field lines.
fn showing(status: &'static str, fields: &'static str) -> Script {
    Box::new(move |asked| {
        is_for(asked, "order/1").then(|| {
            let order = order(status, ([127, 0, 0, 1], 1).into());
            Answer(200, fields.to_owned(), order.to_string())
        })
    })
}

fn count(ca: &Ca, path: &str) -> usize {
    let line = format!("POST /{path} HTTP/1.1");
    let lines = ca.lines();
    lines.iter().filter(|asked| **asked == line).count()
}

/// A response with `content`.
fn says(content: &Value, fields: &str) -> Option<Answer> {
    Some(Answer(200, fields.to_owned(), content.to_string()))
}

#[test]
fn an_order_that_stays_ready_is_finalized_once() {
    let mut trial = Trial::new();
    let port = Arc::new(Mutex::new(0_u16));
    let known = Arc::clone(&port);
    let ca = Ca::start(Box::new(move |asked| {
        let port = *known.lock().expect("no test panics with it");
        let order = order("ready", ([127, 0, 0, 1], port).into());
        is_for(asked, "order/1").then(|| says(&order, "Retry-After: 600\r\n"))?
    }));
    *port.lock().expect("no test panics with it") = ca.address.port();
    let fault = trial.attempt(&ca).expect_err("the CA wants time");
    assert!(fault.to_string().contains("took too long"), "{fault}");
    assert_eq!(count(&ca, "finalize"), 1);
    // The order is kept, and the CA gets its time.
    assert!(trial.record.begun.is_some());
    let pause = trial.record.pause(SystemTime::now());
    assert!(pause > Duration::from_secs(590), "{pause:?}");
}

#[test]
fn an_order_that_was_given_up_is_told_by_its_authorization() {
    let mut trial = Trial::new();
    let mut invalid = showing("invalid", "");
    let port = Arc::new(Mutex::new(0_u16));
    let known = Arc::clone(&port);
    let ca = Ca::start(Box::new(move |asked| {
        let port = *known.lock().expect("no test panics with it");
        let address = ([127, 0, 0, 1], port).into();
        if is_for(asked, "authorization") {
            let error = json!({ "type": "urn:ietf:params:acme:error:dns", "detail": "NXDOMAIN" });
            let mut authorization = authorization("invalid", "token", address);
            authorization["challenges"][1]["error"] = error;
            return says(&authorization, "");
        }
        let order = order("invalid", address);
        is_for(asked, "order/1").then(|| says(&order, ""))?
    }));
    *port.lock().expect("no test panics with it") = ca.address.port();
    let fault = trial.attempt(&ca).expect_err("the order is invalid");
    let expected = "the CA could not verify localhost by http-01: NXDOMAIN";
    assert_eq!(fault.to_string(), expected);
    assert_eq!(trial.record.begun, None);
    // An order that says itself why needs no further question.
    let ca = Ca::start(Box::new(move |asked| {
        let mut answer = invalid(asked)?;
        let mut order: Value = serde_json::from_str(&answer.2).expect("JSON");
        order["error"] = json!({ "detail": "CAA forbids it" });
        answer.2 = order.to_string();
        Some(answer)
    }));
    let fault = trial.attempt(&ca).expect_err("the order is invalid");
    assert_eq!(fault.to_string(), "the order is invalid: CAA forbids it");
    assert_eq!(count(&ca, "authorization"), 0);
}

#[test]
fn an_authorization_that_has_expired_ends_the_order() {
    let mut trial = Trial::new();
    let ca = Ca::start(Box::new(|asked| {
        let address = ([127, 0, 0, 1], 1).into();
        let expired = authorization("expired", "token", address);
        is_for(asked, "authorization").then(|| says(&expired, ""))?
    }));
    let fault = trial.attempt(&ca).expect_err("it has expired");
    let expected =
        "the CA could not verify localhost by any challenge: the authorization is expired";
    assert_eq!(fault.to_string(), expected);
    assert_eq!(
        (trial.record.begun.clone(), count(&ca, "challenge")),
        (None, 0)
    );
}

#[test]
fn what_the_ca_says_to_a_challenge_is_told() {
    // A limit is obeyed at once.
    let mut trial = Trial::new();
    let ca = Ca::start(Box::new(|asked| {
        let limit = || refuses(429, "rateLimited", "Retry-After: 7200\r\n");
        is_for(asked, "challenge").then(limit)
    }));
    let fault = trial.attempt(&ca).expect_err("the CA refuses");
    assert_eq!(fault.to_string(), "the CA refused (429): no more today");
    assert!(trial.record.pause(SystemTime::now()) > Duration::from_secs(7100));
    assert!(trial.record.begun.is_some());
    // A refusal may mean that the CA was told before: it is told if the CA does not decide.
    let mut trial = Trial::new();
    let port = Arc::new(Mutex::new(0_u16));
    let known = Arc::clone(&port);
    let ca = Ca::start(Box::new(move |asked| {
        let port = *known.lock().expect("no test panics with it");
        let pending = authorization("pending", "token", ([127, 0, 0, 1], port).into());
        if is_for(asked, "authorization") {
            return says(&pending, "Retry-After: 600\r\n");
        }
        is_for(asked, "challenge").then(|| refuses(400, "malformed", ""))
    }));
    *port.lock().expect("no test panics with it") = ca.address.port();
    let fault = trial.attempt(&ca).expect_err("the CA does not decide");
    assert_eq!(fault.to_string(), "the CA refused (400): no more today");
}
