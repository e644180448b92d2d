//! A certificate that the server makes itself, for clients that trust it by its fingerprint or its file.

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};

/// A certificate and its key, in PEM.
pub struct Certificate {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

/// A new certificate, signed by itself, for these host names and addresses. Errors are words for people.
pub fn make_certificate(names: Vec<String>) -> Result<Certificate, String> {
    let make = || {
        let mut wanted = CertificateParams::new(names)?;
        wanted.distinguished_name = DistinguishedName::new();
        let name = "depthcache book server";
        wanted.distinguished_name.push(DnType::CommonName, name);
        wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        wanted.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = wanted.self_signed(&key)?;
        Ok(Certificate {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    };
    make().map_err(|why: rcgen::Error| why.to_string())
}
