//! What programs behind this server send: the records of a FastCGI responder, the response of a script.

use super::cuts::{octets, pieces};
use crate::handlers::gateway::fastcgi::fuzz::decode_records;
use crate::handlers::gateway::script_response::{
    HeaderSection, MAX_HEADER_SECTION, ScriptAnswer, ScriptError,
};
use crate::http::fields::is_token;

/// Records: the same output, messages and end for every split of the input.
pub fn fastcgi_records(input: &[u8]) {
    let whole = decode_records(&[input]);
    assert_eq!(decode_records(&pieces(input)), whole, "cut");
    assert_eq!(decode_records(&octets(input)), whole, "octets");
}

/// A script's header section: the same for every split, and no field of it can end its line.
pub fn script_response(input: &[u8]) {
    let whole = answer(&[input]);
    assert_eq!(answer(&pieces(input)), whole, "cut");
    assert_eq!(answer(&octets(input)), whole, "octets");
    match whole {
        Ok(Some((ScriptAnswer::Response(head), _))) => {
            assert!((200..=999).contains(&head.status.code()));
            for line in head.fields.iter() {
                assert!(is_token(line.name.as_bytes()));
                assert!(!line.value.iter().any(|octet| b"\r\n\0".contains(octet)));
            }
        }
        Ok(Some((ScriptAnswer::LocalRedirect(target), _))) => {
            assert!(target.starts_with('/') && !target.starts_with("//"));
            assert!(target.bytes().all(|octet| octet.is_ascii_graphic()));
        }
        Ok(None) => assert!(input.len() <= MAX_HEADER_SECTION),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The answer, and all the content that came.
fn answer(pieces: &[&[u8]]) -> Result<Option<(ScriptAnswer, Vec<u8>)>, ScriptError> {
    let mut section = HeaderSection::default();
    for (index, piece) in pieces.iter().enumerate() {
        let Some(mut answer) = section.push(piece)? else {
            continue;
        };
        let mut content = match &mut answer {
            ScriptAnswer::Response(head) => std::mem::take(&mut head.content),
            ScriptAnswer::LocalRedirect(_) => return Ok(Some((answer, Vec::new()))),
        };
        content.extend(pieces[index + 1..].iter().copied().flatten());
        return Ok(Some((answer, content)));
    }
    Ok(None)
}
