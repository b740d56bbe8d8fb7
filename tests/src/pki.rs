//! Certificates for tests: authorities, the three shapes of kubelet certificates, servers and
//! clients, good ones and expired ones.
//!
//! Everything is written as PEM files into one directory, private keys with mode 0600. Keys are
//! ECDSA P-256, made anew each time, but for that of [`Request::rsa`]. Good certificates are
//! valid from 2020 to 2049, so that no test depends on the day it runs.

use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

/// An RSA key of 2,048 bits: nothing here can make one.
const RSA_KEY: &str = include_str!("../fixtures/pki/rsa-2048.key");

/// What can go wrong when making a certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or the directory could not be written.
    #[error("cannot write {}: is the directory writable?", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A name cannot stand in a certificate, or the key could not be made.
    #[error("cannot make the certificate {name:?}")]
    Make {
        /// The file name asked for.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
}

/// The time a certificate is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// From 2020 to 2049.
    Current,
    /// Over since 2022.
    Expired,
}

/// A directory of certificates.
#[derive(Clone, Debug)]
pub struct Pki {
    dir: PathBuf,
}

/// A certificate authority that can sign.
#[derive(Debug)]
pub struct Ca {
    dir: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// The file with the authority's certificate.
    pub cert_pem: PathBuf,
}

/// The files of one leaf certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The certificate, followed by its authority's where a real server does so.
    pub cert_pem: PathBuf,
    /// The private key, PKCS 8.
    pub key_pem: PathBuf,
}

/// A leaf certificate about to be made; see [`Ca::leaf`].
#[derive(Debug)]
#[must_use = "nothing is made before write()"]
pub struct Request<'a> {
    ca: &'a Ca,
    name: String,
    common_name: String,
    organization: Option<String>,
    dns: Vec<String>,
    ips: Vec<IpAddr>,
    usage: ExtendedKeyUsagePurpose,
    validity: Validity,
    with_ca: bool,
    is_rsa: bool,
}

impl Pki {
    /// Uses a directory, making it when it is not there.
    ///
    /// # Errors
    ///
    /// `Write` when it cannot be made.
    pub fn new(dir: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(|source| Error::Write {
            path: dir.to_path_buf(),
            source,
        })?;
        Ok(Self {
            dir: dir.to_path_buf(),
        })
    }

    /// Makes an authority; its certificate is written to `NAME.pem`, its key is not written.
    ///
    /// # Errors
    ///
    /// `Make` or `Write`.
    pub fn ca(&self, name: &str) -> Result<Ca, Error> {
        self.named_ca(name, name)
    }

    fn named_ca(&self, name: &str, common_name: &str) -> Result<Ca, Error> {
        let made = || CertifiedIssuer::self_signed(authority(common_name), KeyPair::generate()?);
        let issuer = made().map_err(|source| Error::Make {
            name: name.to_owned(),
            source,
        })?;
        let cert_pem = self.dir.join(format!("{name}.pem"));
        write(&cert_pem, &issuer.pem(), 0o644)?;
        Ok(Ca {
            dir: self.dir.clone(),
            issuer,
            cert_pem,
        })
    }

    /// Makes what a kubelet makes for itself when nobody configured a certificate: common name
    /// `NODE@unixtime`, the node's name as the only name (an address where the node is called by one), signed by a throw-away authority of its
    /// own. `NODE-kubelet.pem` holds the leaf and then that authority, `NODE-kubelet-ca.pem` the
    /// authority alone.
    ///
    /// # Errors
    ///
    /// `Make` or `Write`.
    pub fn kubelet_default(&self, node: &str, validity: Validity) -> Result<Leaf, Error> {
        let file = format!("{node}-kubelet");
        let ca = self.named_ca(&format!("{file}-ca"), &format!("{node}-ca@1795331906"))?;
        let mut request = ca.leaf(&file).common_name(&format!("{node}@1795331907"));
        request.with_ca = true;
        let request = match node.parse::<IpAddr>() {
            Ok(ip) => request.ips(&[ip]),
            Err(_) => request.dns(&[node]),
        };
        request.validity(validity).write()
    }
}

impl Ca {
    /// Begins a server certificate, written to `NAME.pem` and `NAME.key`, with the name as its
    /// common name and no subject alternative name yet.
    pub fn leaf(&self, name: &str) -> Request<'_> {
        Request {
            ca: self,
            name: name.to_owned(),
            common_name: name.to_owned(),
            organization: None,
            dns: Vec::new(),
            ips: Vec::new(),
            usage: ExtendedKeyUsagePurpose::ServerAuth,
            validity: Validity::Current,
            with_ca: false,
            is_rsa: false,
        }
    }

    /// Makes another certificate of this authority, `NAME.pem`: of the same key, with other dates, for this common
    /// name. With the authority's own it is what a renewal makes.
    ///
    /// # Errors
    ///
    /// `Make` or `Write`.
    pub fn again(&self, name: &str, common_name: &str) -> Result<PathBuf, Error> {
        let mut params = authority(common_name);
        params.not_after = date_time_ymd(2048, 12, 31);
        let made = params.self_signed(self.issuer.key());
        let made = made.map_err(|source| Error::Make {
            name: name.to_owned(),
            source,
        })?;
        let path = self.dir.join(format!("{name}.pem"));
        write(&path, &made.pem(), 0o644)?;
        Ok(path)
    }

    /// Makes what a kubelet with `serverTLSBootstrap` is given by the cluster: common name
    /// `system:node:NODE`, organization `system:nodes`, the node's name and its address as names.
    ///
    /// # Errors
    ///
    /// `Make` or `Write`.
    pub fn kubelet_bootstrap(&self, node: &str, ip: IpAddr) -> Result<Leaf, Error> {
        self.leaf(&format!("{node}-kubelet"))
            .common_name(&format!("system:node:{node}"))
            .organization("system:nodes")
            .dns(&[node])
            .ips(&[ip])
            .write()
    }

    /// Makes what an administrator gives a kubelet as `tlsCertFile`: names of the administrator's choice,
    /// none of which need be the node's, and nothing of Kubernetes in the subject.
    ///
    /// # Errors
    ///
    /// `Make` or `Write`.
    pub fn kubelet_given(&self, node: &str, names: &[&str]) -> Result<Leaf, Error> {
        self.leaf(&format!("{node}-kubelet"))
            .common_name("kubelet")
            .dns(names)
            .write()
    }
}

impl Request<'_> {
    /// Sets the subject's common name.
    pub fn common_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.common_name);
        self
    }

    /// Sets the subject's organization.
    pub fn organization(mut self, name: &str) -> Self {
        self.organization = Some(name.to_owned());
        self
    }

    /// Adds DNS names.
    pub fn dns(mut self, names: &[&str]) -> Self {
        self.dns.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// Adds addresses.
    pub fn ips(mut self, ips: &[IpAddr]) -> Self {
        self.ips.extend(ips);
        self
    }

    /// Makes it a client's certificate instead of a server's.
    pub fn client(mut self) -> Self {
        self.usage = ExtendedKeyUsagePurpose::ClientAuth;
        self
    }

    /// Gives it an RSA key of 2,048 bits, always the same one: what a kubelet makes for itself has such a key.
    pub fn rsa(mut self) -> Self {
        self.is_rsa = true;
        self
    }

    /// Sets the time it is good for; the default is [`Validity::Current`].
    pub fn validity(mut self, validity: Validity) -> Self {
        self.validity = validity;
        self
    }

    /// Makes the certificate and writes its two files.
    ///
    /// # Errors
    ///
    /// `Make` when a name cannot stand in a certificate, `Write` when a file cannot be written.
    pub fn write(self) -> Result<Leaf, Error> {
        let (mut pem, key) = self.make().map_err(|source| Error::Make {
            name: self.name.clone(),
            source,
        })?;
        if self.with_ca {
            pem.push_str(&self.ca.issuer.pem());
        }
        let leaf = Leaf {
            cert_pem: self.ca.dir.join(format!("{}.pem", self.name)),
            key_pem: self.ca.dir.join(format!("{}.key", self.name)),
        };
        write(&leaf.key_pem, &key, 0o600)?;
        write(&leaf.cert_pem, &pem, 0o644)?;
        Ok(leaf)
    }

    fn make(&self) -> Result<(String, String), rcgen::Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(organization) = &self.organization {
            params
                .distinguished_name
                .push(DnType::OrganizationName, organization);
        }
        params
            .distinguished_name
            .push(DnType::CommonName, &self.common_name);
        for name in &self.dns {
            let name = SanType::DnsName(name.as_str().try_into()?);
            params.subject_alt_names.push(name);
        }
        for ip in &self.ips {
            params.subject_alt_names.push(SanType::IpAddress(*ip));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![self.usage.clone()];
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = match self.validity {
            Validity::Current => (date_time_ymd(2020, 1, 1), date_time_ymd(2049, 12, 31)),
            Validity::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2022, 1, 1)),
        };
        let key = match self.is_rsa {
            true => KeyPair::from_pem(RSA_KEY)?,
            false => KeyPair::generate()?,
        };
        let certificate = params.signed_by(&key, &self.ca.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// What an authority's certificate says.
fn authority(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    (params.not_before, params.not_after) =
        (date_time_ymd(2020, 1, 1), date_time_ymd(2049, 12, 31));
    params
}

/// Writes beside the place and renames, so that a server that reloads never reads half a file.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let fresh = path.with_extension("new");
    let written = || {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        std::fs::rename(&fresh, path)
    };
    written().map_err(|source| Error::Write {
        path: path.to_path_buf(),
        source,
    })
}

#[cfg(test)]
mod tests;
