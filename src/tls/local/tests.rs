//! Tests of a user's CA.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Barrier;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::*;
use crate::test_support::TemporaryDirectory;
use crate::tls::provider::provider;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn hosts(names: &[&str]) -> Vec<HostPattern> {
    let host = |name: &&str| match name.strip_prefix('*') {
        Some(suffix) => HostPattern::Below(suffix.to_owned()),
        None => HostPattern::Exact((*name).to_owned()),
    };
    names.iter().map(host).collect()
}

fn open(directory: &TemporaryDirectory, now: SystemTime) -> LocalAuthority {
    LocalAuthority::open(&directory.path().join("a/tidegate"), now).expect("a CA")
}

fn mode(path: &Path) -> u32 {
    let data = std::fs::metadata(path).expect("it is there");
    data.permissions().mode() & 0o777
}

/// Whether a client that trusts the CA takes the certificate in `file` for a server named `name`.
fn is_trusted(ca: &LocalAuthority, file: &Path, name: &str, now: SystemTime) -> bool {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(ca.certificate_file()).expect("a certificate");
    roots.add(root).expect("it is a CA's");
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider());
    let verifier = verifier.build().expect("a verifier");
    let certificate = CertificateDer::from_pem_file(file).expect("a certificate");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let since = now.duration_since(SystemTime::UNIX_EPOCH).expect("today");
    let now = UnixTime::since_unix_epoch(since);
    let verified = verifier.verify_server_cert(&certificate, &[], &name, &[], now);
    verified.is_ok()
}

#[test]
fn it_is_made_once_for_its_user_alone() {
    let directory = TemporaryDirectory::new("local");
    let now = SystemTime::now();
    let first = open(&directory, now);
    assert_eq!(first.origin(), Origin::Made);
    let facts = first.facts();
    assert!(
        facts.subject.contains("Tidegate development CA of "),
        "{facts:?}"
    );
    assert!(facts.subject.contains('@'), "{facts:?}");
    assert_eq!(facts.subject, facts.issuer);
    let years = facts.left(now).as_secs() / DAY.as_secs() / 365;
    assert_eq!(years, 9, "ten years, less the hour that it is backdated");
    let path = directory.path().join("a/tidegate");
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&path.join("ca-key.pem")), 0o600);
    assert_eq!(mode(&path.join("ca.pem")), 0o644);
    let public = std::fs::read_to_string(path.join("ca.pem")).expect("it is there");
    assert!(!public.contains("PRIVATE KEY"));
    let second = open(&directory, now);
    assert_eq!(second.origin(), Origin::Found);
    assert_eq!(second.facts(), facts);
    // What is trusted can be had again from what is secret.
    std::fs::remove_file(path.join("ca.pem")).expect("it is there");
    assert_eq!(open(&directory, now).origin(), Origin::Found);
    assert_eq!(
        std::fs::read_to_string(path.join("ca.pem")).ok(),
        Some(public)
    );
}

#[test]
fn a_key_that_a_killed_process_has_left_is_removed() {
    let directory = TemporaryDirectory::new("local");
    directory.write("a/tidegate/.tmp-ca-key.pem-abcdef", b"a key");
    let now = SystemTime::now();
    let ca = open(&directory, now);
    let wanted = hosts(&["localhost"]);
    let file = ca.server_file(&wanted, now).expect("a certificate");
    std::fs::remove_file(&file).expect("it is there");
    let name = file.file_name().expect("a name").display();
    let left = format!("a/tidegate/serve/.tmp-{name}-abcdef");
    directory.write(&left, b"a key");
    ca.server_file(&wanted, now).expect("a certificate");
    let names = |path: &str| {
        let entries = std::fs::read_dir(directory.path().join(path)).expect("it is there");
        let names = entries.map(|entry| entry.expect("a file").file_name().into_string());
        let mut names: Vec<String> = names.map(|name| name.expect("a name")).collect();
        names.sort();
        names
    };
    assert_eq!(
        names("a/tidegate"),
        ["ca-key.pem", "ca.pem", "lock", "serve"]
    );
    assert_eq!(names("a/tidegate/serve"), [name.to_string()]);
}

#[test]
fn those_that_begin_at_once_get_the_same() {
    let directory = TemporaryDirectory::new("local");
    let now = SystemTime::now();
    let barrier = Barrier::new(8);
    let opened: Vec<(Origin, String)> = std::thread::scope(|scope| {
        let start = || {
            barrier.wait();
            let ca = open(&directory, now);
            (ca.origin(), ca.facts().fingerprint.clone())
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
        let results = threads.into_iter().map(|thread| thread.join());
        results.map(|result| result.expect("no panic")).collect()
    });
    let made = opened.iter().filter(|(origin, _)| *origin == Origin::Made);
    assert_eq!(made.count(), 1, "{opened:?}");
    assert!(
        opened.iter().all(|(_, one)| *one == opened[0].1),
        "{opened:?}"
    );
}

#[test]
fn a_certificate_is_for_its_hosts_and_lasts_397_days() {
    let directory = TemporaryDirectory::new("local");
    let now = SystemTime::now();
    let ca = open(&directory, now);
    let wanted = hosts(&["localhost", "127.0.0.1", "[::1]", "*.app.test"]);
    let file = ca.server_file(&wanted, now).expect("a certificate");
    assert_eq!(mode(&file), 0o600);
    let identity = Identity::read(&file, &file).expect("with its key");
    let facts = &identity.facts;
    assert_eq!(
        facts.names,
        ["localhost", "127.0.0.1", "[::1]", "*.app.test"]
    );
    let lifetime = facts.not_after.duration_since(facts.not_before);
    assert_eq!(lifetime.ok(), Some(397 * DAY));
    for (name, is_for_it) in [
        ("localhost", true),
        ("127.0.0.1", true),
        ("::1", true),
        ("a.app.test", true),
        ("app.test", false),
        ("127.0.0.2", false),
    ] {
        assert_eq!(is_trusted(&ca, &file, name, now), is_for_it, "{name}");
    }
    // Whether others are asked for, it is the first file's alone.
    assert_eq!(ca.server_file(&wanted, now).ok().as_ref(), Some(&file));
    let other = ca
        .server_file(&hosts(&["localhost"]), now)
        .expect("another");
    assert_ne!(other, file);
}

#[test]
fn it_is_made_anew_when_it_is_about_to_expire_and_not_before() {
    let directory = TemporaryDirectory::new("local");
    let begin = SystemTime::now();
    let ca = open(&directory, begin);
    let wanted = hosts(&["localhost"]);
    let read = |now| {
        let file = ca.server_file(&wanted, now).expect("a certificate");
        assert!(is_trusted(&ca, &file, "localhost", now));
        std::fs::read_to_string(file).expect("it is there")
    };
    let first = read(begin);
    assert_eq!(read(begin + 366 * DAY), first);
    let second = read(begin + 368 * DAY);
    assert_ne!(second, first);
    assert_eq!(read(begin + 368 * DAY), second);
    // At the end of the CA a new one would not last longer.
    let late = read(begin + 3640 * DAY);
    assert_eq!(read(begin + 3645 * DAY), late);
}

#[test]
fn what_is_no_good_is_made_anew() {
    let directory = TemporaryDirectory::new("local");
    let now = SystemTime::now();
    let ca = open(&directory, now);
    let wanted = hosts(&["localhost"]);
    let file = ca.server_file(&wanted, now).expect("a certificate");
    for text in ["", "no certificate"] {
        std::fs::write(&file, text).expect("it can be written");
        ca.server_file(&wanted, now).expect("a certificate");
        assert!(is_trusted(&ca, &file, "localhost", now), "{text}");
    }
    // The next CA has the same name, and another key.
    let later = now + 3651 * DAY;
    let next = open(&directory, later);
    assert_eq!(next.origin(), Origin::Replaced);
    assert_eq!(next.facts().subject, ca.facts().subject);
    assert_ne!(next.facts().fingerprint, ca.facts().fingerprint);
    next.server_file(&wanted, later).expect("a certificate");
    assert!(is_trusted(&next, &file, "localhost", later));
}

#[test]
fn a_file_that_is_no_ca_is_named_and_stays() {
    let directory = TemporaryDirectory::new("local");
    let path = directory.path().join("a/tidegate/ca-key.pem");
    let fixture = |name: &str| {
        std::fs::read_to_string(format!("tests/fixtures/tls/{name}")).expect("a fixture")
    };
    let leaf = fixture("localhost.key") + &fixture("localhost.pem");
    let misfit = fixture("other.key") + &fixture("ca.pem");
    for (text, why) in [
        ("", "holds no certificate"),
        (leaf.as_str(), "not that of a CA"),
        (&misfit, "does not fit"),
    ] {
        directory.write("a/tidegate/ca-key.pem", text.as_bytes());
        let opened = LocalAuthority::open(&directory.path().join("a/tidegate"), SystemTime::now());
        let error = opened.err().expect("it is no CA").to_string();
        assert!(error.contains(why), "{error}");
        assert!(error.contains(&path.display().to_string()), "{error}");
        assert!(error.contains("delete the file"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), Some(text));
    }
}

#[test]
fn another_ca_in_its_place_signs_as_well() {
    let directory = TemporaryDirectory::new("local");
    let fixture = |name: &str| {
        std::fs::read_to_string(format!("tests/fixtures/tls/{name}")).expect("a fixture")
    };
    let text = fixture("ca.key") + &fixture("ca.pem");
    directory.write("a/tidegate/ca-key.pem", text.as_bytes());
    let now = SystemTime::now();
    let ca = open(&directory, now);
    assert_eq!(ca.origin(), Origin::Found);
    let wanted = hosts(&["localhost"]);
    let file = ca.server_file(&wanted, now).expect("a certificate");
    assert!(is_trusted(&ca, &file, "localhost", now));
}

/// The name was cut at its comma, and its backslash was told.
#[test]
fn its_name_may_have_a_comma() {
    let directory = TemporaryDirectory::new("local");
    let mut parameters = rcgen::CertificateParams::default();
    let name = rcgen::DnType::CommonName;
    parameters.distinguished_name.push(name, "Acme, Inc CA");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    let block = pem::block("PRIVATE KEY", key.serialized_der());
    let text = block + &pem::block("CERTIFICATE", certificate.der());
    directory.write("a/tidegate/ca-key.pem", text.as_bytes());
    let ca = open(&directory, SystemTime::now());
    assert_eq!(ca.origin(), Origin::Found);
    assert_eq!(ca.name(), "Acme, Inc CA");
}

#[test]
fn a_directory_that_cannot_be_made_is_named_with_a_remedy() {
    let directory = TemporaryDirectory::new("local");
    directory.write("file", b"");
    let path = directory.path().join("file/tidegate");
    let opened = LocalAuthority::open(&path, SystemTime::now());
    let error = opened.err().expect("a file is in the way").to_string();
    let place = format!("cannot make the directory `{}`", path.display());
    assert!(error.contains(&place), "{error}");
    assert!(error.contains("XDG_DATA_HOME"), "{error}");
}
