//! One order, from its beginning or from where the last process left it, to the certificate (RFC 8555
//! §7.4, §7.5).
//!
//! ```text
//!   new order ─→ pending ──── each name verified ───→ ready ─ CSR ─→ processing ─→ valid ─→ download
//!      kept         │ answers given, the CA told,                                     kept
//!                   │ asked until it has decided
//!                   └→ invalid: the order is over
//! ```

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use data_encoding::BASE64;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answers::{Answers, Given};
use super::authority::Authority;
use super::client::Reply;
use super::epoch::{moment, seconds};
use super::fault::Fault;
use super::jose::base64url;
use super::messages::{Authorization, AuthorizationStatus, Offer, Order, OrderStatus, Problem};
use crate::config::model::Challenge;
use crate::runtime;
use crate::tls::made::challenge_config;
use crate::tls::pem::block;

/// How long the CA may take to verify a name, or to issue.
const PATIENCE: Duration = Duration::from_secs(120);

/// The time between two questions whether the CA has decided: it grows from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// An order that is under way, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// Where the CA has it.
    pub(super) url: String,
    /// The key of the certificate: PKCS #8 in base64.
    pub(super) key: String,
    /// When it was begun, in seconds since 1970. The records of older versions do not say.
    #[serde(default)]
    pub(super) at: Option<u64>,
}

/// The age at which an order is old: its certificate may have been issued long ago.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

impl Begun {
    /// Whether the order was begun long before `now`. An order whose age is not known is not old.
    pub(super) fn is_old(&self, now: SystemTime) -> bool {
        let age = self.at.map(|at| now.duration_since(moment(at)));
        age.is_some_and(|age| age.is_ok_and(|age| age >= OLD))
    }
}

/// What is ordered, and how.
pub(super) struct Wish {
    pub(super) names: Vec<String>,
    /// The preferred one first.
    pub(super) challenges: Vec<Challenge>,
    /// The certificate that it replaces (RFC 9773 §5), if the CA takes such names.
    pub(super) replaces: Option<String>,
    /// How many tries the CA has refused: the next one uses another challenge.
    pub(super) refusals: u32,
}

/// Begins an order.
///
/// # Errors
/// If the CA refuses.
pub(super) async fn begin(authority: &Authority, wish: &Wish) -> Result<Begun, Fault> {
    let identifier = |name: &String| json!({ "type": "dns", "value": name });
    let identifiers: Vec<_> = wish.names.iter().map(identifier).collect();
    let mut order = json!({ "identifiers": identifiers });
    if let Some(replaces) = &wish.replaces {
        order["replaces"] = replaces.as_str().into();
    }
    let url = &authority.directory.new_order;
    let reply = match authority.post(url, &order.to_string()).await {
        // RFC 9773 §5: it has been replaced by another order, or the CA does not know it.
        Err(fault) if wish.replaces.is_some() && fault.is_refusal() => {
            let order = json!({ "identifiers": identifiers });
            authority.post(url, &order.to_string()).await?
        }
        reply => reply?,
    };
    let nonsense = || Fault::Nonsense("the CA does not say where the order is".to_owned());
    let key = KeyPair::generate().map_err(unmade)?;
    Ok(Begun {
        url: reply.location.ok_or_else(nonsense)?,
        key: BASE64.encode(key.serialized_der()),
        at: Some(seconds(SystemTime::now())),
    })
}

/// Resumes the order `begun`, to its end. Workers give the CA the answers that are in `answers`. Returns
/// the key and the chain of certificates, as PEM.
///
/// # Errors
/// Why there is no certificate. [`is_over`] says whether the order can still lead to one.
pub(super) async fn complete(
    authority: &Authority,
    begun: &Begun,
    wish: &Wish,
    answers: &Arc<Answers>,
) -> Result<String, Fault> {
    let key = key_of(begun)?;
    let (mut order, mut reply) = ask(authority, begun).await?;
    let mut pace = Pace::new("it has not finished the order");
    let mut is_finalized = false;
    loop {
        match order.status {
            OrderStatus::Pending => {
                for authorization in &order.authorizations {
                    verify(authority, authorization, wish, answers).await?;
                }
                pace.wait(&reply).await?;
            }
            OrderStatus::Ready if !is_finalized => {
                let request = json!({ "csr": base64url(request(&wish.names, &key)?) });
                authority
                    .post(&order.finalize, &request.to_string())
                    .await?;
                is_finalized = true;
            }
            // The CA may show the order for a while as it was.
            OrderStatus::Ready | OrderStatus::Processing => pace.wait(&reply).await?,
            OrderStatus::Valid => return download(authority, &order, &key).await,
            OrderStatus::Invalid => return Err(why_invalid(authority, &order).await),
        }
        (order, reply) = ask(authority, begun).await?;
    }
}

/// Whether the order cannot lead to a certificate any more, so that the next try begins another.
pub(super) fn is_over(fault: &Fault) -> bool {
    match fault {
        Fault::Refused { .. } => fault.is_refusal(),
        Fault::Unverified { .. } | Fault::Invalid(_) | Fault::Nonsense(_) => true,
        Fault::Unreachable(_)
        | Fault::Busy(_)
        | Fault::Slow { .. }
        | Fault::Storage(_)
        | Fault::Pool(_) => false,
    }
}

async fn ask(authority: &Authority, begun: &Begun) -> Result<(Order, Reply), Fault> {
    authority.ask(&begun.url, "", "order").await
}

/// Why the CA has given up `order`. Where the order does not say, one of its authorizations does.
async fn why_invalid(authority: &Authority, order: &Order) -> Fault {
    let said = order.error.as_ref().map(Problem::said).unwrap_or_default();
    if !said.is_empty() {
        return Fault::Invalid(format!("the order is invalid: {said}"));
    }
    for url in &order.authorizations {
        let asked: Result<(Authorization, _), Fault> =
            authority.ask(url, "", "authorization").await;
        match asked {
            Ok((authorization, _)) if authorization.status.is_failed() => {
                return unverified(&authorization);
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    Fault::Invalid("the order is invalid, and the CA does not say why".to_owned())
}

fn unmade(error: rcgen::Error) -> Fault {
    Fault::Nonsense(format!("cannot make a key or a request: {error}"))
}

fn key_of(begun: &Begun) -> Result<KeyPair, Fault> {
    let damaged = || Fault::Nonsense("the key of the order is damaged".to_owned());
    let der = BASE64.decode(begun.key.as_bytes()).map_err(|_| damaged())?;
    let key = KeyPair::try_from(&PrivatePkcs8KeyDer::from(der));
    key.map_err(|_| damaged())
}

/// The request for a certificate for `names` (RFC 8555 §7.4).
fn request(names: &[String], key: &KeyPair) -> Result<Vec<u8>, Fault> {
    let mut parameters = CertificateParams::new(names).map_err(unmade)?;
    parameters.distinguished_name = DistinguishedName::new();
    let request = parameters.serialize_request(key).map_err(unmade)?;
    Ok(request.der().to_vec())
}

/// Has the CA verify the name of the authorization at `url`.
async fn verify(
    authority: &Authority,
    url: &str,
    wish: &Wish,
    answers: &Arc<Answers>,
) -> Result<(), Fault> {
    let (mut authorization, mut reply): (Authorization, _) =
        authority.ask(url, "", "authorization").await?;
    let mut pace = Pace::new("it has not verified a name");
    let mut given = None;
    let mut refused = None;
    loop {
        if authorization.status.is_failed() {
            return Err(unverified(&authorization));
        }
        if authorization.status == AuthorizationStatus::Valid {
            return Ok(());
        }
        if given.is_none() {
            let (challenge, offer) = choose(&authorization, wish)?;
            let name = authorization.identifier.value.clone();
            given = Some(give(authority, answers, challenge, &name, offer)?);
            match authority.post(&offer.url, "{}").await {
                Ok(_) => {}
                // The CA may have been told before a restart, and may have decided: the authorization says so.
                Err(fault) if fault.is_refusal() => refused = Some(fault),
                Err(fault) => return Err(fault),
            }
        } else if let Err(slow) = pace.wait(&reply).await {
            // The CA has said why it does not verify the name.
            return Err(refused.unwrap_or(slow));
        }
        (authorization, reply) = authority.ask(url, "", "authorization").await?;
    }
}

/// The challenge to answer: of those that the CA offers and the operator allows, another one after each
/// failure.
fn choose<'a>(
    authorization: &'a Authorization,
    wish: &Wish,
) -> Result<(Challenge, &'a Offer), Fault> {
    let offered = |challenge: &Challenge| {
        let mut offers = authorization.challenges.iter();
        offers.find(|offer| offer.kind == challenge.name())
    };
    let usable = wish.challenges.iter();
    let usable: Vec<_> = usable
        .filter_map(|challenge| Some((*challenge, offered(challenge)?)))
        .collect();
    match usable.len() {
        0 => {
            let offers = authorization.challenges.iter();
            let kinds: Vec<&str> = offers.map(|offer| offer.kind.as_str()).collect();
            Err(Fault::Nonsense(format!(
                "the CA offers no challenge of those in `challenge` for {}: {}",
                authorization.identifier.value,
                kinds.join(", ")
            )))
        }
        count => Ok(usable[wish.refusals as usize % count]),
    }
}

/// Has workers answer the CA.
fn give(
    authority: &Authority,
    answers: &Arc<Answers>,
    challenge: Challenge,
    name: &str,
    offer: &Offer,
) -> Result<Given, Fault> {
    let is_of_token = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
    if offer.token.is_empty() || !offer.token.bytes().all(is_of_token) {
        let message = "the CA gives a token that is no base64url (RFC 8555 §8)";
        return Err(Fault::Nonsense(message.to_owned()));
    }
    let authorization = authority.key.key_authorization(&offer.token);
    let name = name.to_ascii_lowercase();
    match challenge {
        Challenge::Http01 => Ok(answers.give_http(&name, &offer.token, authorization)),
        Challenge::TlsAlpn01 => {
            let config = challenge_config(&name, &authorization);
            let config = config.map_err(|error| Fault::Nonsense(error.to_string()))?;
            Ok(answers.give_tls(&name, config))
        }
    }
}

fn unverified(authorization: &Authorization) -> Fault {
    let failed = authorization.challenges.iter();
    let failed = failed.filter_map(|offer| Some((&offer.kind, offer.error.as_ref()?)));
    let (challenge, said) = failed
        .map(|(kind, problem)| (kind.clone(), problem.said()))
        .next()
        .unwrap_or_else(|| {
            let status = format!("{:?}", authorization.status).to_ascii_lowercase();
            (
                "any challenge".to_owned(),
                format!("the authorization is {status}"),
            )
        });
    Fault::Unverified {
        name: authorization.identifier.value.clone(),
        challenge,
        said,
    }
}

async fn download(authority: &Authority, order: &Order, key: &KeyPair) -> Result<String, Fault> {
    let nonsense = |why: &str| Fault::Nonsense(format!("the CA has issued, but {why}"));
    let url = order.certificate.as_deref();
    let url = url.ok_or_else(|| nonsense("does not say where the certificate is"))?;
    let reply = authority.post(url, "").await?;
    let chain = String::from_utf8(reply.content);
    let chain = chain.map_err(|_| nonsense("the certificate is no PEM"))?;
    Ok(block("PRIVATE KEY", key.serialized_der()) + &chain)
}

/// The pauses between two questions to the CA, which are [`PATIENCE`] together at most.
struct Pace {
    what: &'static str,
    next: Duration,
    left: Duration,
}

impl Pace {
    fn new(what: &'static str) -> Self {
        Self {
            what,
            next: FIRST_WAIT,
            left: PATIENCE,
        }
    }

    /// Waits as long as the last `reply` says, or a little longer than the last time.
    ///
    /// # Errors
    /// If the CA has had [`PATIENCE`], or wants more than is left of that.
    async fn wait(&mut self, reply: &Reply) -> Result<(), Fault> {
        let asked = reply.retry_after.filter(|wait| !wait.is_zero());
        let wait = asked.unwrap_or(self.next).max(FIRST_WAIT);
        self.next = (self.next * 2).min(LONGEST_WAIT);
        let slow = Fault::Slow {
            what: self.what,
            retry_after: reply.retry_after,
        };
        self.left = self.left.checked_sub(wait).ok_or(slow)?;
        runtime::sleep(wait).await;
        Ok(())
    }
}
