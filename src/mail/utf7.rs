//! Modified UTF-7, the encoding of mailbox names (RFC 3501 §5.1.3).
//!
//! Strict on purpose: a name counts as decoded only if encoding it again gives the same octets, so
//! that no two names on a server look alike to the rules, and a name always finds its folder again.

use base64::Engine as _;
use base64::alphabet::Alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Base64 with `,` in place of `/`, unpadded.
static MODIFIED_BASE64: std::sync::LazyLock<Option<GeneralPurpose>> =
    std::sync::LazyLock::new(|| {
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";
        let config = GeneralPurposeConfig::new()
            .with_encode_padding(false)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone);
        Alphabet::new(letters).ok().map(|alphabet| GeneralPurpose::new(&alphabet, config))
    });

/// Encodes a name.
pub(super) fn encode(text: &str) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut shifted: Vec<u8> = Vec::new();
    for character in text.chars() {
        if matches!(character, ' '..='~') {
            unshift(&mut shifted, &mut octets);
            octets.push(u8::try_from(character).unwrap_or(b'?'));
            if character == '&' {
                octets.push(b'-');
            }
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                shifted.extend_from_slice(&unit.to_be_bytes());
            }
        }
    }
    unshift(&mut shifted, &mut octets);
    octets
}

fn unshift(shifted: &mut Vec<u8>, octets: &mut Vec<u8>) {
    if let (false, Some(engine)) = (shifted.is_empty(), MODIFIED_BASE64.as_ref()) {
        octets.push(b'&');
        octets.extend_from_slice(engine.encode(&shifted).as_bytes());
        octets.push(b'-');
        shifted.clear();
    }
}

/// Decodes a name; nothing if it is not valid, or if it would not encode back to the same octets.
pub(super) fn decode(octets: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(octets.len());
    let mut rest = octets;
    while let Some((&octet, tail)) = rest.split_first() {
        rest = tail;
        if octet != b'&' {
            text.push(matches!(octet, b' '..=b'~').then(|| char::from(octet))?);
            continue;
        }
        let end = memchr::memchr(b'-', rest)?;
        let (shifted, tail) = (&rest[..end], &rest[end + 1..]);
        rest = tail;
        if shifted.is_empty() {
            text.push('&');
            continue;
        }
        let units = MODIFIED_BASE64.as_ref()?.decode(shifted).ok()?;
        if units.len() % 2 != 0 {
            return None;
        }
        let units = units.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
        for character in char::decode_utf16(units) {
            text.push(character.ok()?);
        }
    }
    (encode(&text) == octets).then_some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_the_rfc_are_read() {
        assert_eq!(decode(b"~peter/mail/&U,BTFw-/&ZeVnLIqe-").unwrap(), "~peter/mail/台北/日本語");
        assert_eq!(decode(b"Envoy&AOk-s").unwrap(), "Envoyés");
        assert_eq!(decode(b"R&-D").unwrap(), "R&D");
        assert_eq!(decode(b"&2D3eAA-").unwrap(), "\u{1f600}");
    }

    #[test]
    fn what_does_not_encode_back_is_not_decoded() {
        let bad: [&[u8]; 9] = [
            b"Envoy&AOk",
            b"&bad!-",
            b"&!!-",
            b"&AGE-",
            b"&AOk-&AOk-",
            b"caf\xe9",
            b"a\tb",
            b"&2D0-",
            b"&AA-",
        ];
        for octets in bad {
            assert_eq!(decode(octets), None, "{}", String::from_utf8_lossy(octets));
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "\\PC*|[a-z&é\u{1f600}-]*") {
            prop_assert_eq!(decode(&encode(&text)), Some(text));
        }

        #[test]
        fn no_octets_panic_and_what_is_decoded_encodes_back(octets: Vec<u8>) {
            if let Some(text) = decode(&octets) {
                prop_assert_eq!(encode(&text), octets);
            }
        }
    }
}
