//! What this server must know of a certificate beyond what its TLS library says: the common name of its subject, and in words
//! why it cannot be used. It reads DER as far as that, and vouches for nothing.

use std::fmt;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT_ID: u8 = 0x06;
/// The version, which a certificate of version 1 lacks.
const VERSION: u8 = 0xa0;
/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// 1.2.840.113549.1.1.1.
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// The shortest RSA key that the TLS library takes.
const MIN_RSA_BITS: usize = 2048;

/// Why a certificate cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// It is of version 1 of X.509; only version 3 says what a certificate is for.
    Version1,
    /// Its RSA key has this many bits, fewer than 2,048.
    ShortKey(usize),
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version1 => formatter.write_str(
                "it is of version 1 of X.509; make one of version 3 (with `openssl`, give it extensions such as \
                 `subjectAltName`)",
            ),
            Self::ShortKey(bits) => write!(
                formatter,
                "its RSA key has {bits} bits; make one of at least {MIN_RSA_BITS} bits, or an ECDSA key"
            ),
        }
    }
}

/// The last common name of the subject, as Go reads it; `None` when there is none or the bytes are not a certificate.
pub(super) fn common_name(certificate: &[u8]) -> Option<String> {
    last_common_name(fields(certificate)?.subject)
}

/// Why a server or a client cannot show the certificate; `None` also for what is not a certificate at all.
pub(super) fn fault(certificate: &[u8]) -> Option<CertificateFault> {
    let fields = fields(certificate)?;
    if !fields.has_version { Some(CertificateFault::Version1) } else { short_key(fields.key) }
}

/// Why nothing can be checked against an authority's certificate. Its version does not matter.
pub(super) fn authority_fault(certificate: &[u8]) -> Option<CertificateFault> {
    short_key(fields(certificate)?.key)
}

/// Parts of a certificate.
struct Fields<'a> {
    has_version: bool,
    /// Its names.
    subject: &'a [u8],
    /// Which kind of key it is for, and the key.
    key: &'a [u8],
}

fn fields(certificate: &[u8]) -> Option<Fields<'_>> {
    let (_, certificate) = expect(certificate, SEQUENCE)?;
    let (_, all) = expect(certificate, SEQUENCE)?;
    let version = expect(all, VERSION);
    let mut rest = version.map_or(all, |(rest, _)| rest);
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        rest = element(rest)?.0;
    }
    let (rest, subject) = expect(rest, SEQUENCE)?;
    let (_, key) = expect(rest, SEQUENCE)?;
    Some(Fields { has_version: version.is_some(), subject, key })
}

fn short_key(key: &[u8]) -> Option<CertificateFault> {
    let (rest, algorithm) = expect(key, SEQUENCE)?;
    let (_, kind) = expect(algorithm, OBJECT_ID)?;
    if kind != RSA {
        return None;
    }
    let (_, bits) = expect(rest, BIT_STRING)?;
    // The number of bits that are not used, always none; then the modulus comes first.
    let (_, numbers) = expect(bits.get(1..)?, SEQUENCE)?;
    let (_, modulus) = expect(numbers, INTEGER)?;
    let zeros: u32 = modulus
        .iter()
        .position(|byte| *byte != 0)
        .map_or(0, |at| u32::try_from(at * 8).unwrap_or(u32::MAX) + modulus[at].leading_zeros());
    let bits = (modulus.len() * 8).saturating_sub(zeros as usize);
    (bits < MIN_RSA_BITS).then_some(CertificateFault::ShortKey(bits))
}

fn last_common_name(mut names: &[u8]) -> Option<String> {
    let mut found = None;
    while !names.is_empty() {
        let (rest, mut set) = expect(names, SET)?;
        names = rest;
        while !set.is_empty() {
            let (rest, attribute) = expect(set, SEQUENCE)?;
            set = rest;
            let (value, kind) = expect(attribute, OBJECT_ID)?;
            if kind == COMMON_NAME {
                let (_, _, text) = element(value)?;
                found = Some(String::from_utf8_lossy(text).into_owned());
            }
        }
    }
    found
}

/// What follows the first element, and its content, if it is of this kind.
fn expect(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (rest, found, content) = element(bytes)?;
    (found == kind).then_some((rest, content))
}

/// What follows the first element, its kind and its content.
fn element(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((rest, kind, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subjects_common_name_is_found() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, "the organisation");
        params.distinguished_name.push(rcgen::DnType::CommonName, "the client");
        let certificate = params.self_signed(&key).unwrap();
        let der = certificate.der();
        assert_eq!(common_name(der).as_deref(), Some("the client"));
        for end in 0..der.len() {
            // Truncated, it must not panic; the name itself may be whole.
            let _ = common_name(&der[..end]);
            assert_eq!(fault(&der[..end]), None);
        }
        assert_eq!(
            (common_name(b"no certificate"), fault(b"no certificate"), fault(der)),
            (None, None, None)
        );
    }
}
