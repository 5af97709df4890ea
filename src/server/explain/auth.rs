//! Says for `explain` what `auth` of a route wants, and whether the request has it. No password is shown.

use crate::generation::auth::{Basic, Door};
use crate::handlers::ForwardAuth;
use crate::server::exchange::Exchange;

/// What the client has to prove, and whether it has; `is_refused` says whether it gets a 401.
pub(super) fn auth_of(exchange: &Exchange<'_, '_>, is_refused: bool) -> Option<String> {
    let auth = exchange.policy.auth.as_ref()?;
    Some(match &auth.door {
        Door::Open => {
            let names = auth.fields.withheld.join(", ");
            format!("none; {names} of the client is not passed on")
        }
        Door::Basic(basic) => {
            let user = exchange
                .identity()
                .and_then(|identity| identity.user.as_deref());
            let verdict = match user {
                Some(user) => format!("let in as {user}"),
                None if is_refused => "refused: the request has no password of a user".to_owned(),
                None => "not asked for: the request is answered as it is".to_owned(),
            };
            format!("{}: {verdict}", describe(basic))
        }
        Door::Forward(forward) => {
            let url = url(forward);
            if exchange.asks_a_service() {
                format!("{url} would be asked; explaining does not ask it")
            } else {
                format!("{url}: not asked: the request is answered as it is")
            }
        }
    })
}

fn describe(basic: &Basic) -> String {
    let (file, users) = (basic.passwords.path().display(), basic.passwords.users());
    format!(
        "a password for {:?}, of {users} users in {file}",
        basic.realm
    )
}

fn url(forward: &ForwardAuth) -> String {
    let options = forward.options();
    format!("{}{}", options.upstream, options.target)
}
