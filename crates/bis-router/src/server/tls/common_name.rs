//! The common name of a certificate's subject. It reads DER as far as that, and checks nothing.

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
/// The version, which a certificate of version 1 lacks.
const VERSION: u8 = 0xa0;
/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The last common name of the subject, as Go reads it; `None` when there is none or the bytes are no certificate.
pub(super) fn of(certificate: &[u8]) -> Option<String> {
    let (_, certificate) = expect(certificate, SEQUENCE)?;
    let (_, mut fields) = expect(certificate, SEQUENCE)?;
    if let Some((rest, _)) = expect(fields, VERSION) {
        fields = rest;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        fields = element(fields)?.0;
    }
    let (_, mut names) = expect(fields, SEQUENCE)?;
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
        assert_eq!(of(der).as_deref(), Some("the client"));
        for end in 0..der.len() {
            // Cut short it must not panic; the name itself may be whole.
            let _ = of(&der[..end]);
        }
        assert_eq!(of(b"no certificate"), None);
    }
}
