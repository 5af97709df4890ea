//! Whether the dates of certificates will have peers refuse them: of the own one, of those behind it in its file, and
//! of the authorities that clients' certificates are verified by.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::facts::{Facts, days};
use super::fault::{Fault, Part};

/// How long before its end a certificate is warned of.
const NEARLY_EXPIRED: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// What is wrong with the dates of the own certificate in the file `path`.
pub(super) fn date_doubt(facts: &Facts, path: &Path, now: SystemTime) -> Option<Fault> {
    let who = format!("the certificate in `{}`", path.display());
    let message = dates(&who, facts, now, ": peers refuse it")?;
    Some(Fault::new(Part::Certificate, message).help("renew it; a reload reads it again"))
}

/// What is wrong with the dates of the own certificate in the file `path`, and of the `issuers` behind it there.
pub(super) fn chain_doubts(
    own: &Facts,
    issuers: &[Facts],
    path: &Path,
    now: SystemTime,
) -> Vec<Fault> {
    let doubt = |facts: &Facts| {
        let message = dates(
            &who(facts, path),
            facts,
            now,
            ": peers may refuse the chain",
        )?;
        let help = "ask the CA for its present chain; a reload reads it again";
        Some(Fault::new(Part::Certificate, message).help(help))
    };
    let of_issuers = of_chain(issuers).filter_map(doubt);
    date_doubt(own, path, now)
        .into_iter()
        .chain(of_issuers)
        .collect()
}

/// What is wrong with `authorities`, in the file `path`, by which the certificates of clients are verified.
pub(super) fn authority_doubts(authorities: &[Facts], path: &Path, now: SystemTime) -> Vec<Fault> {
    let doubt = |facts: &Facts| {
        let who = who(facts, path);
        // One that has issued itself may be a client's own, which is trusted as it is.
        if !facts.is_authority && !is_self_issued(facts) {
            let message = format!(
                "{who} is no CA's; clients whose certificates its key has signed are let in"
            );
            let help = "`client_ca` holds the CA that has issued the certificates of clients";
            return Some(Fault::new(Part::ClientCa, message).help(help));
        }
        let message = dates(&who, facts, now, "")?;
        let help = "replace it by its successor; a reload reads it again";
        Some(Fault::new(Part::ClientCa, message).help(help))
    };
    authorities.iter().filter_map(doubt).collect()
}

/// When the first certificate ends of `own` and those behind it.
pub(super) fn first_end(own: &Facts, issuers: &[Facts]) -> SystemTime {
    let ends = of_chain(issuers).map(|facts| facts.not_after);
    ends.fold(own.not_after, SystemTime::min)
}

/// Those that peers look at: of a root they have a copy of their own.
fn of_chain(issuers: &[Facts]) -> impl Iterator<Item = &Facts> {
    issuers.iter().filter(|facts| !is_self_issued(facts))
}

fn is_self_issued(facts: &Facts) -> bool {
    facts.subject == facts.issuer
}

fn who(facts: &Facts, path: &Path) -> String {
    format!(
        "the certificate of {} in `{}`",
        facts.subject,
        path.display()
    )
}

/// What is wrong with the dates of the certificate that `who` names; `effect` is that of its end.
fn dates(who: &str, facts: &Facts, now: SystemTime, effect: &str) -> Option<String> {
    let left = facts.left(now);
    if now < facts.not_before {
        let wait = facts.not_before.duration_since(now).unwrap_or_default();
        let (days, hours) = (days(wait), wait.as_secs() / 3600 % 24);
        return Some(format!(
            "{who} is not valid yet: it begins in {days} days and {hours} hours; is the clock right?"
        ));
    }
    if left == Duration::ZERO {
        let since = now.duration_since(facts.not_after).unwrap_or_default();
        return Some(format!(
            "{who} has expired, {} days ago{effect}",
            days(since)
        ));
    }
    (left < NEARLY_EXPIRED).then(|| format!("{who} expires in {} days", days(left)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
        KeyPair, date_time_ymd,
    };

    use super::*;
    use crate::config::model::{ClientCertificates, HostPattern, Tls};
    use crate::test_support::TemporaryDirectory;
    use crate::tls::Terminator;
    use crate::tls::pem::block;

    /// A certificate for `name` that ends in the year `last`.
    fn parameters(name: &str, last: i32) -> CertificateParams {
        let mut parameters = CertificateParams::new([name.to_owned()]).expect("a name");
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(last, 1, 1);
        parameters
    }

    /// The key of a server, its certificate, and the certificate that has issued it, which ends in the year `last`.
    fn chain(purpose: ExtendedKeyUsagePurpose, last: i32) -> String {
        let [root, middle, own] = [(); 3].map(|()| KeyPair::generate().expect("a key"));
        let authority = |name, last| {
            let mut authority = parameters(name, last);
            authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            authority
        };
        let root = Issuer::new(authority("root", 2090), root);
        let middle_parameters = authority("middle", last);
        let issued = middle_parameters.signed_by(&middle, &root).expect("ours");
        let issuer = Issuer::new(middle_parameters, middle);
        let mut leaf = parameters("a.example", 2080);
        leaf.extended_key_usages = vec![purpose];
        let leaf = leaf.signed_by(&own, &issuer).expect("ours");
        [
            block("PRIVATE KEY", own.serialized_der()),
            block("CERTIFICATE", leaf.der()),
            block("CERTIFICATE", issued.der()),
        ]
        .concat()
    }

    /// What is said of a server with that file, and of the one that its clients are verified by.
    fn doubts(text: &str, authority: Option<&str>) -> (Vec<String>, Terminator) {
        let directory = TemporaryDirectory::new("validity");
        directory.write("a.pem", text.as_bytes());
        let file = directory.path().join("a.pem");
        let clients = authority.map(|name| ClientCertificates {
            authorities: Path::new("tests/fixtures/tls").join(name),
            is_required: false,
        });
        let settings = Tls {
            certificate: file.clone(),
            key: file,
            clients,
            ..Tls::default()
        };
        let terminator = Terminator::new(&settings, &Arc::default()).expect("good files");
        let doubts = terminator.doubts(&[HostPattern::Exact("a.example".to_owned())]);
        let told = |fault: Fault| {
            let (before, rest) = fault.message.split_once(" in `").expect("a file");
            let (_, behind) = rest.split_once('`').expect("a file");
            let (behind, _) = behind.split_once(", ").unwrap_or((behind, ""));
            format!("{before}{behind}")
        };
        (doubts.into_iter().map(told).collect(), terminator)
    }

    #[test]
    fn the_whole_chain_is_looked_at() {
        let (server, client) = (
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        );
        let (found, terminator) = doubts(&chain(server.clone(), 2070), None);
        assert_eq!(found, [""; 0]);
        let own = terminator.facts().expect("a certificate").not_after;
        assert!(terminator.ends().is_some_and(|ends| ends < own));
        let (found, terminator) = doubts(&chain(server, 2021), None);
        assert_eq!(found, ["the certificate of CN=middle has expired"]);
        assert!(
            terminator
                .ends()
                .is_some_and(|ends| ends < SystemTime::now())
        );
        assert_eq!(terminator.doubts_by_date().len(), 1);
        let (found, _) = doubts(&chain(client, 2070), None);
        assert_eq!(
            found,
            ["the certificate is not for servers (extendedKeyUsage)"]
        );
    }

    #[test]
    fn the_authorities_of_clients_are_looked_at() {
        let good = chain(ExtendedKeyUsagePurpose::ServerAuth, 2070);
        for (authority, expected) in [
            ("ca.pem", None),
            // It has issued itself: a client's own, which is trusted as it is.
            ("own.pem", None),
            (
                "localhost.pem",
                Some(
                    "the certificate of CN=localhost is no CA's; clients whose certificates its key has signed are let in",
                ),
            ),
        ] {
            let (found, _) = doubts(&good, Some(authority));
            assert_eq!(
                found,
                Vec::from_iter(expected.map(str::to_owned)),
                "{authority}"
            );
        }
    }
}
