//! Keys and certificates are made here: ECDSA P-256, by the clock of the process.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

use super::held::Pair;

/// The life of a CA.
pub(super) const CA_LIFE_S: u64 = 365 * DAY_S;

/// The life of a serving certificate.
pub(super) const LEAF_LIFE_S: u64 = 30 * DAY_S;

pub(super) const DAY_S: u64 = 86_400;

/// Certificates are good from so long before they are made: a node whose clock is an hour late takes them,
/// and one that is later still cannot be told from one in the past.
pub(super) const EARLIER_S: u64 = 2 * 3600;

/// The last second in which something is made: what is made then still ends before the year 10000.
const LATEST_UNIX_S: u64 = 253_000_000_000;

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The clock is out of the range of certificates.
    #[error("the clock says {unix_s} s after 1970: set it right")]
    Clock {
        /// What it says, Unix seconds.
        unix_s: u64,
    },
    /// The key of the CA is not understood.
    #[error("the key of the CA is not understood")]
    CaKey {
        /// What the library said.
        source: rcgen::Error,
    },
    /// A key or a certificate could not be made.
    #[error("a certificate could not be made: check that --tls-service has names of Services")]
    Make {
        /// What the library said.
        source: rcgen::Error,
    },
}

/// Makes a CA of this name, with a new key.
pub(super) fn ca(name: &str, now_s: u64) -> Result<Pair, Error> {
    let mut params = ca_params(name);
    set_times(&mut params, now_s, now_s.saturating_add(CA_LIFE_S))?;
    let make = |source| Error::Make { source };
    let key = KeyPair::generate().map_err(make)?;
    let certificate = params.self_signed(&key).map_err(make)?;
    Ok(Pair::new(certificate.pem(), key.serialize_pem()))
}

/// Makes a serving certificate with a new key, signed by the CA of this name; it ends with that at the latest.
pub(super) fn leaf(
    names: &[String],
    (ca, ca_name, ca_until_s): (&Pair, &str, u64),
    now_s: u64,
) -> Result<Pair, Error> {
    let make = |source| Error::Make { source };
    let ca_key = KeyPair::from_pem(ca.key()).map_err(|source| Error::CaKey { source })?;
    let issuer = Issuer::new(ca_params(ca_name), ca_key);
    let mut params = CertificateParams::new(names).map_err(make)?;
    params.distinguished_name = common_name("cairn-aggregator");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let until_s = now_s.saturating_add(LEAF_LIFE_S).min(ca_until_s);
    set_times(&mut params, now_s, until_s)?;
    let key = KeyPair::generate().map_err(make)?;
    let certificate = params.signed_by(&key, &issuer).map_err(make)?;
    Ok(Pair::new(certificate.pem(), key.serialize_pem()))
}

/// What a CA and the issuer of its leaves have in common: both must say the same.
fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    // It signs leaves and no further CA.
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn set_times(params: &mut CertificateParams, now_s: u64, until_s: u64) -> Result<(), Error> {
    if now_s > LATEST_UNIX_S {
        return Err(Error::Clock { unix_s: now_s });
    }
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now_s.saturating_sub(EARLIER_S));
    params.not_after = epoch + Duration::from_secs(until_s);
    Ok(())
}
