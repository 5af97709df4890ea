//! Signatures of ACME: JSON Web Signatures with ES256 (RFC 7515, RFC 7518 §3.4), the account's key
//! as a JSON Web Key (RFC 7517), and its thumbprint (RFC 7638).

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The length of a coordinate of P-256.
const COORDINATE: usize = 32;

/// The key of an account.
pub(super) struct AccountKey {
    pair: EcdsaKeyPair,
    /// As it is kept.
    pkcs8: Vec<u8>,
}

/// The octets are no such key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it holds no key of an account (ECDSA P-256 in PKCS #8)")]
pub(super) struct NoKey;

/// `octets` in base64url without padding (RFC 7515 §2).
pub(super) fn base64url(octets: impl AsRef<[u8]>) -> String {
    BASE64URL_NOPAD.encode(octets.as_ref())
}

impl AccountKey {
    /// A new key.
    pub(super) fn generate() -> Self {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let pkcs8 = made.expect("the system has random octets");
        Self::from_pkcs8(pkcs8.as_ref()).expect("it was just made")
    }

    /// The key in `pkcs8`.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, NoKey> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8);
        Ok(Self {
            pair: pair.map_err(|_| NoKey)?,
            pkcs8: pkcs8.to_vec(),
        })
    }

    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half (RFC 7518 §6.2.1).
    pub(super) fn jwk(&self) -> Value {
        let (x, y) = self.coordinates();
        json!({ "crv": "P-256", "kty": "EC", "x": x, "y": y })
    }

    /// The digest of the public half (RFC 7638 §3): its members in the order of the alphabet.
    pub(super) fn thumbprint(&self) -> String {
        let (x, y) = self.coordinates();
        let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        base64url(Sha256::digest(text))
    }

    /// What the CA is to be told for `token` (RFC 8555 §8.1).
    pub(super) fn key_authorization(&self, token: &str) -> String {
        format!("{token}.{}", self.thumbprint())
    }

    /// `payload`, signed: a JWS in the flattened serialization (RFC 7515 §7.2.2). `protected` is the header
    /// without `alg`.
    pub(super) fn sign(&self, protected: Value, payload: &str) -> String {
        sign_with("ES256", protected, payload, |input| {
            let signature = self.pair.sign(&SystemRandom::new(), input);
            let signature = signature.expect("a sound key signs");
            signature.as_ref().to_vec()
        })
    }

    /// The coordinates of the public point, in base64url.
    fn coordinates(&self) -> (String, String) {
        // SEC 1 §2.3.3: 4, then both coordinates.
        let point = &self.pair.public_key().as_ref()[1..];
        let (x, y) = point.split_at(COORDINATE);
        (base64url(x), base64url(y))
    }
}

/// `payload`, signed with HS256 and the key that a CA has given its customer (RFC 8555 §7.3.4).
pub(super) fn sign_with_hmac(key: &[u8], protected: Value, payload: &str) -> Value {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let signed = sign_with("HS256", protected, payload, |input| {
        hmac::sign(&key, input).as_ref().to_vec()
    });
    serde_json::from_str(&signed).expect("it was just written")
}

fn sign_with(
    algorithm: &str,
    mut protected: Value,
    payload: &str,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    protected["alg"] = algorithm.into();
    let protected = base64url(protected.to_string());
    let payload = base64url(payload);
    let signature = base64url(sign(format!("{protected}.{payload}").as_bytes()));
    json!({ "protected": protected, "payload": payload, "signature": signature }).to_string()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    fn decoded(text: &str) -> Vec<u8> {
        BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url")
    }

    /// The key of RFC 7515 appendix A.3.1.
    const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
    const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
    const D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";

    fn key() -> AccountKey {
        let pair = EcdsaKeyPair::from_private_key_and_public_key(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &decoded(D),
            &[vec![4], decoded(X), decoded(Y)].concat(),
        );
        let pair = pair.expect("the key of the RFC");
        let pkcs8 = pair.to_pkcs8v1().expect("a key").as_ref().to_vec();
        AccountKey { pair, pkcs8 }
    }

    #[test]
    fn the_key_of_rfc_7515_is_shown_as_it_is_there() {
        let expected = json!({ "kty": "EC", "crv": "P-256", "x": X, "y": Y });
        assert_eq!(key().jwk(), expected);
        // Computed by Python's hashlib over the members in the order of RFC 7638.
        assert_eq!(
            key().thumbprint(),
            "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"
        );
        let kept = AccountKey::from_pkcs8(key().pkcs8()).expect("the same key");
        assert_eq!(kept.jwk(), expected);
        assert!(AccountKey::from_pkcs8(b"no key").is_err());
    }

    #[test]
    fn a_signature_is_one_of_rfc_7515() {
        let signed = key().sign(json!({ "nonce": "n" }), "payload");
        let signed: Value = serde_json::from_str(&signed).expect("JSON");
        let part = |name: &str| signed[name].as_str().expect("a string").to_owned();
        let protected: Value = serde_json::from_slice(&decoded(&part("protected"))).expect("JSON");
        assert_eq!(protected, json!({ "alg": "ES256", "nonce": "n" }));
        assert_eq!(decoded(&part("payload")), b"payload");
        let input = format!("{}.{}", part("protected"), part("payload"));
        let public = UnparsedPublicKey::new(
            &ECDSA_P256_SHA256_FIXED,
            [vec![4], decoded(X), decoded(Y)].concat(),
        );
        let verified = public.verify(input.as_bytes(), &decoded(&part("signature")));
        assert!(verified.is_ok());
        // Appendix A.3.1, which another implementation has signed with the same key.
        let input = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        assert!(public.verify(input.as_bytes(), &decoded(signature)).is_ok());
    }

    #[test]
    fn an_hmac_is_that_of_rfc_7515() {
        // Appendix A.1: the header and the payload have line ends there that ours have not, so the
        // signature is made of the octets of the RFC.
        let key = decoded(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        );
        let input = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let expected = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(base64url(hmac::sign(&hmac_key, input.as_bytes())), expected);
        let signed = sign_with_hmac(&key, json!({ "kid": "k" }), "{}");
        let input = format!(
            "{}.{}",
            signed["protected"].as_str().unwrap_or_default(),
            signed["payload"].as_str().unwrap_or_default()
        );
        let signature = decoded(signed["signature"].as_str().unwrap_or_default());
        assert!(hmac::verify(&hmac_key, input.as_bytes(), &signature).is_ok());
    }
}
